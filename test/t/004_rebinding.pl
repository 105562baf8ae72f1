# A name that changes its mind: the address that is checked is the one that is
# connected to, whatever the name said before, and however many it has.  The
# servers here ask a resolver of the test's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $port = $mock->port;
my $folder = PostgreSQL::Test::Utils::tempdir();

# getaddrinfo() for names under ".test": each look-up takes a line of a file of that
# name, the last one again and again; a line has one address or several.  The first
# address of each is public, and nobody answers there (RFC 5737).
append_to_file("$folder/resolver.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*Lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

/*
 * The next line of the name's file, which a second file counts.  Newer libcurl asks
 * once for each family: that is one look-up, which the one for IPv4 counts.
 */
static int
next_line(const char *name, const struct addrinfo *hints, char *line, int size)
{
	char		path[1024];
	int			n = 0;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s.count", getenv("RESOLVER"), name);
	if ((file = fopen(path, "r")) != NULL)
	{
		(void) !fscanf(file, "%d", &n);
		fclose(file);
	}
	if ((!hints || hints->ai_family != AF_INET6) && (file = fopen(path, "w")) != NULL)
	{
		fprintf(file, "%d", n + 1);
		fclose(file);
	}
	snprintf(path, sizeof(path), "%s/%s", getenv("RESOLVER"), name);
	if ((file = fopen(path, "r")) == NULL)
		return 0;
	for (int i = 0; i <= n && fgets(line, size, file); i++)
		;
	fclose(file);
	return 1;
}

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	Lookup		real = (Lookup) dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo *list = NULL,
			  **tail = &list;
	char		line[1024];
	char	   *rest = line;

	if (!name || !strstr(name, ".test") || !next_line(name, hints, line, sizeof(line)))
		return real(name, service, hints, result);
	for (char *address; (address = strtok_r(rest, " \n", &rest));)
	{
		if (real(address, service, hints, tail) != 0)
			continue;			/* of the other family */
		while (*tail)
			tail = &(*tail)->ai_next;
	}
	*result = list;
	return list ? 0 : EAI_NONAME;
}
C
system_or_bail('cc', '-shared', '-fPIC', '-o', "$folder/resolver.so", "$folder/resolver.c", '-ldl');

sub name
{
	my ($name, @lines) = @_;
	append_to_file("$folder/$name.test", join('', map { "$_\n" } @lines));
	return "http://$name.test:$port/v1";
}

sub lookups { return -e "$folder/$_[0].test.count" ? slurp_file("$folder/$_[0].test.count") : 0; }

my $node;
{
	local %ENV = (%ENV, RESOLVER => $folder, LD_PRELOAD => "$folder/resolver.so");
	$node = gepa_node('main');
}

# An LM as whoever may create servers makes it: at an address that must be public.
sub lm
{
	my ($lm, $url, %options) = @_;
	create_lm($node, $lm, $mock, 'judge-fixed-true', base_url => $url, allow_private_address => undef,
		connect_timeout => '0.5', %options);
	return value($node, "SELECT detail FROM gepa.check_lm('$lm')");
}

my $refused = qr/^The address of base_url is private.*allow_private_address/;

like(lm('loopback', name('loopback', '127.0.0.1')), $refused, 'a name of a private address is refused');
is(lookups('loopback'), 1, '... the resolver is the test\'s');

# Public when it was looked at first, private when it is connected to.
unlike(lm('rebound', name('rebound', '192.0.2.1', '127.0.0.1')), $refused, 'a name of a public address is tried');
my $before = lookups('rebound');
like(value($node, "SELECT detail FROM gepa.check_lm('rebound')"), $refused, '... the next session finds it private and refuses it');
cmp_ok(lookups('rebound'), '>', $before, '... after a look-up of its own');

# Both in one answer: the second is tried when the first does not answer.
like(lm('both', name('both', '192.0.2.1 127.0.0.1')), $refused, 'of two addresses the private one is refused');
like(lm('mixed', name('mixed', '192.0.2.1 ::ffff:127.0.0.1 ::1 169.254.169.254 127.0.0.1')), $refused, '... in whatever form');
is($mock->journal->{connections}, 0, 'nothing was connected to');

# The same addresses are connected to where that is allowed: it was the check that refused them.
unlike(lm('allowed', name('allowed', '192.0.2.1 127.0.0.1'), allow_private_address => 'true'), $refused, 'where it is allowed');
cmp_ok($mock->journal->{requests}, '>', 0, '... the second address is connected to');

# Within one session: the connection that one LM keeps, and a name that has turned.
name('kept', '127.0.0.1');
create_lm($node, 'keeps', $mock, 'judge-fixed-true', base_url => "http://kept.test:$port/v1");
create_lm($node, 'reuses', $mock, 'judge-fixed-true', base_url => "http://kept.test:$port/v1", allow_private_address => undef);
$mock->reset;
my $said = value($node, q{SELECT count(*) FROM gepa.check_lm('keeps') WHERE ok; SELECT detail FROM gepa.check_lm('reuses')});
like($said =~ s/^[1-9]\n//r, $refused, 'a kept connection to a private address is not reused by an LM that may not have it');
is($mock->journal->{connections}, 1, '... of which there is one');

# A proxy is connected to in place of base_url: it is its address that counts.
like(lm('proxied', 'http://192.0.2.1/v1', proxy => "http://127.0.0.1:$port"), $refused, 'a proxy at a private address needs the permission too');
like(lm('turned', 'http://192.0.2.1/v1', proxy => name('proxy', '127.0.0.1') =~ s{/v1$}{}r), $refused, '... by name as well');

done_testing();
