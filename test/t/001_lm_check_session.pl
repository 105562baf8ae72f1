# gepa.check_lm() beside what it says (001_lm_check.pl): that its advice mends things, what
# it leaves in a session, and who may ask.

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
my $here = '127.0.0.1:' . $mock->port;
my $node = gepa_node('main', preload => 0);

# A server that has moved, and what there is to do, to the letter.
create_lm($node, 'moved', $mock, 'judge-rules+key-sk-wanted', base_url => 'http://old.invalid/v1');
value($node, "CREATE USER MAPPING FOR PUBLIC SERVER moved OPTIONS (api_key 'sk-wanted')");
value($node, "ALTER SERVER moved OPTIONS (SET base_url 'http://$here/v1')");
my ($fix) = value($node, "SELECT detail FROM gepa.check_lm('moved') WHERE NOT ok") =~ /(ALTER USER MAPPING.*\)):/;
is($fix, q{ALTER USER MAPPING FOR PUBLIC SERVER moved OPTIONS (ADD api_key '...')}, 'the key of a server that moved is to be added');
value($node, $fix =~ s/\.\.\./sk-wanted/r);
is(value($node, "SELECT ok FROM gepa.check_lm('moved') WHERE item = 'key'"), 't', '... and then is there');

# A Retry-After too long to wait for holds the session; what it was told is said again.
create_lm($node, 'held', $mock, 'judge-rules+429-s600');
my ($held) = outcome($node, "SELECT detail FROM gepa.check_lm('held') WHERE NOT ok;" x 2);
like($held, qr/^(The endpoint takes no more calls for now \(HTTP 429\); it wants 600 s of rest\. .*)\n\1$/, 'a long Retry-After');
is($mock->journal->{by_model}{'judge-rules+429-s600'}{requests}, 1, '... and the endpoint is left alone');

# In a transaction, a key that cannot be read leaves nothing behind.
create_lm($node, 'unset', $mock, 'judge-rules', api_key_env => 'GEPA_NO_SUCH_KEY');
is( value($node, "BEGIN; CREATE TABLE kept (a int); SELECT count(*) FROM gepa.check_lm('unset'); COMMIT;
		SELECT to_regclass('kept')"),
	"1\nkept", 'a transaction goes on');

# The log of calls is in shared memory.
like((outcome($node, 'SELECT * FROM gepa.lm_calls'))[1],
	qr/ERROR:  55000: gepa keeps no log of calls, because it was not preloaded\nHINT:  Add gepa to shared_preload_libraries/,
	'without preload there is no log of calls');

# Without USAGE nothing is sent.
value($node, 'CREATE ROLE stranger');
may_call($node, 'stranger');
$mock->reset;
like((outcome($node, q{SET ROLE stranger; SELECT * FROM gepa.check_lm('held');}))[1],
	qr/ERROR:  42501: permission denied for LM "held"\nHINT:  Its owner can GRANT USAGE/, 'USAGE is required');
is($mock->journal->{requests}, 0, '... before anything is sent');

done_testing();
