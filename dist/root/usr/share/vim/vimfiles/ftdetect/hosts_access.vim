" hosts.allow, hosts.deny, and what stands beside them while they are edited.
autocmd BufNewFile,BufRead hosts.allow,hosts.deny,hosts.allow.*,hosts.deny.* set filetype=hosts_access
