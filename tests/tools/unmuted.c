/* Debian builds libwrap with _FORTIFY_SOURCE, so its log calls become __syslog_chk and miss the syslog
   and vsyslog that tcpdchk and tcpdmatch bring along to show them. Preloaded, this sends them there. */

#include <stdarg.h>
#include <syslog.h>

void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
	(void)flag;
	vsyslog(priority, format, arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	__vsyslog_chk(priority, flag, format, arguments);
	va_end(arguments);
}
