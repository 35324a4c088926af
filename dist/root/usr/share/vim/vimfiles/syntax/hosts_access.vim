" Vim syntax file
" Language: hosts.allow and hosts.deny, see hosts_access(5) and hosts_options(5)

if exists("b:current_syntax")
  finish
endif

syntax case ignore
syntax sync minlines=50

" A backslash at a line's end joins the next one, of comments as of rules.
syntax region hostsAccessComment start="^#" skip="\\$" end="$"

" daemons : clients : option : option. A colon in brackets ends nothing.
syntax match hostsAccessDaemons "^[^#:[:space:]]\%(\\\n\|[^:\[\n]\|\[[^\]\n]*\]\)*" contains=@hostsAccessList nextgroup=hostsAccessClients
syntax match hostsAccessClients ":\%(\\\n\|[^:\[\n]\|\[[^\]\n]*\]\)*" contained contains=@hostsAccessList,@hostsAccessHost nextgroup=hostsAccessOptions
syntax region hostsAccessOptions start=":" skip="\\$" end="$" contained contains=hostsAccessOption,hostsAccessVerdict,hostsAccessCondition,hostsAccessBound,hostsAccessExpansion,hostsAccessEscape,hostsAccessContinued

syntax cluster hostsAccessList contains=hostsAccessWildcard,hostsAccessExcept,hostsAccessContinued
syntax cluster hostsAccessHost contains=hostsAccessAddress,hostsAccessBadBraces,hostsAccessBraces,hostsAccessFile,hostsAccessNetgroup

syntax keyword hostsAccessWildcard contained ALL LOCAL KNOWN UNKNOWN PARANOID
syntax keyword hostsAccessExcept contained EXCEPT
syntax match hostsAccessAddress contained "\<\d\+\.[0-9./]*"
syntax match hostsAccessAddress contained "\[\x*:[^\]]*\]\%(/\d\+\)\?"
syntax match hostsAccessFile contained "\%([:,[:blank:]]\)\@1<=/[^,:[:space:]]*"
syntax match hostsAccessNetgroup contained "\%([:,[:blank:]]\)\@1<=@[^,:[:space:]]*"

" The last that matches counts.
syntax match hostsAccessBadBraces contained "{[^{},:[:space:]]*}"
syntax match hostsAccessBraces contained "{\%(country\|continent\|asn\|dns\|rbl\|time\)=[^{},:[:space:]]\+}"
syntax match hostsAccessBraces contained "{\%(samehost\|samenet\|banned\)}"

syntax match hostsAccessOption contained "\\\@1<!:\%(\\\n\|\s\)*\zs\%(severity\|spawn\|aclexec\|twist\|banners\|keepalive\|linger\|rfc931\|nice\|umask\|setenv\|user\|group\)\>"
syntax match hostsAccessOption contained "\\\@1<!:\%(\\\n\|\s\)*\zs\%(trial\|ban\)\>"
syntax match hostsAccessVerdict contained "\\\@1<!:\%(\\\n\|\s\)*\zs\%(allow\|deny\)\>"
syntax match hostsAccessCondition contained "\\\@1<!:\%(\\\n\|\s\)*\zsif\>\%(\\\n\|[^:\[\n]\|\[[^\]\n]*\]\)*" contains=hostsAccessIf,@hostsAccessList,@hostsAccessHost
syntax keyword hostsAccessIf contained if
syntax match hostsAccessBound contained "\\\@1<!:\%(\\\n\|\s\)*\zs\%(limit\|max\)\>[^:\n]*" contains=hostsAccessBoundWord,hostsAccessNumber
syntax keyword hostsAccessBoundWord contained limit max burst per total second seconds minute minutes hour hours day days
syntax match hostsAccessNumber contained "\<\d\+"
syntax match hostsAccessExpansion contained "%[%aAcdhHnNprsu]"
syntax match hostsAccessEscape contained "\\:"
syntax match hostsAccessContinued contained "\\$"

highlight default link hostsAccessComment Comment
highlight default link hostsAccessDaemons Identifier
highlight default link hostsAccessWildcard Constant
highlight default link hostsAccessExcept Operator
highlight default link hostsAccessAddress Number
highlight default link hostsAccessFile String
highlight default link hostsAccessNetgroup String
highlight default link hostsAccessBraces Special
highlight default link hostsAccessBadBraces Error
highlight default link hostsAccessOption Keyword
highlight default link hostsAccessVerdict Statement
highlight default link hostsAccessIf Conditional
highlight default link hostsAccessBoundWord Keyword
highlight default link hostsAccessNumber Number
highlight default link hostsAccessExpansion Special
highlight default link hostsAccessEscape Special
highlight default link hostsAccessContinued Special

let b:current_syntax = "hosts_access"
