# Statements with the judge node switched off and on: everything that can be seen
# must be the same, apart from how many calls are in flight at a time.
#
#   my $compare = Gepa::Compare->new;        a server, a mock, the world below
#   $compare->run('a qual' => 'SELECT ...', 'a limit' => [ 'SELECT ... LIMIT 3', early => 8 ], ...);
#   $compare->wrong('SELECT ...')            what is wrong with a statement, as a list
#   $compare->add_judge('odd', 'judge-rules+garbage-40');
#   $compare->restart("a = 'b'\n");          the server, with further settings
#   $compare->{node}, $compare->{mock}
#
# Each statement is one test, and runs in each mode in a session and a transaction of
# its own, under new versions of all judges: nothing is stored.  It fails unless
#   rows and their order, errors and notices are equal, and there are some
#   the texts that reached the mock are equal, as a multiset, and not none
#   one call is in flight at a time with the node off, and two with it on (the mock holds
#   its answers until there are)
#   the plan has the node in the one mode and not in the other, and EXPLAIN sent nothing
#   there is an ERROR where that is expected, and not elsewhere
#   the session is alive afterwards
#
# Options of a statement:
#   early => n     it may stop early: ahead of what serial evaluation asks for, not more than
#                  min(n + what that asks for, the window) further texts
#   scans => n     ... where so many scans begin anew, for each of them
#   fewer => 1     the node may save calls, but not make others
#   order => 1     it may ask another of several judges first, so that other texts are sent
#   peak => 'one'  not expected to overlap: one call at a time in both modes; 'any': what the rows
#                  allow
#   node => 0      no node is expected in the plan; undef: there may be one
#   never => qr//  texts that must not reach the mock; always => qr//: one at least that does
#   as => 'role'   who executes it
#   error => qr//  what it says, with SQLSTATE
#   set => 'a = b, c = d'                        settings
#   before => 'SQL', after => 'SQL'              in the same transaction; the latter's rows are compared, too
#   explain => 'SQL'                             what has a plan, where that is not the statement; '': nothing has
#   plan => qr//   what the plan must have in both modes
#   any_order => 1                               rows come in no order that is defined
#   commit => 1    without a transaction around it
#   vacuum => 'a'  tables whose size the statement changes, and with it what the next one's plan is
package Gepa::Compare;

use strict;
use warnings;

use Gepa::Mock;
use Gepa::Test;
use List::Util qw(min sum0);
use Test::More;

my $concurrency = 16;
my $window = 4 * $concurrency;
my $node_in_plan = qr/Custom Scan \(Judge\)/;

# docs: titles are of ten texts, two bodies are NULL; tags: none to four for each document.
my $world = <<'SQL';
CREATE TABLE docs AS
SELECT id, grp, title, body, jsonb_build_object('title', title, 'body', body) AS doc
FROM generate_series(1, 30) id, LATERAL (SELECT id % 4 AS grp, 'title ' || id % 10 AS title,
	CASE WHEN id % 17 <> 3 THEN 'document ' || id || (ARRAY[' alpha', ' beta', ''])[id % 3 + 1] END AS body) d;
ALTER TABLE docs ADD PRIMARY KEY (id);
CREATE INDEX docs_grp ON docs (grp);
CREATE TABLE tags AS
SELECT i AS id, i * 7 % 40 AS doc, 'tag ' || i % 6 AS tag FROM generate_series(1, 40) i WHERE i % 3 > 0 OR i < 13
UNION ALL SELECT 100 + i, 5 * i, 'tag 7' FROM generate_series(1, 3) i;
CREATE INDEX tags_doc ON tags (doc);
SQL

sub new
{
	my ($class) = @_;
	my $mock = Gepa::Mock->new;
	my $node = gepa_node('main', conf => "autovacuum = off\nmax_parallel_workers = 4\n");
	my $self = bless { node => $node, mock => $mock, cases => 0, judges => {
			j => 'Is it good?',
			k => "RULE: documents that mention \"alpha\" are true\nRULE: documents that mention \"beta\" are false",
			m => 'Does the title fit?',
			f => 'Is it taken?' } }, $class;

	create_lm($node, 'one', $mock, 'judge-rules', max_concurrency => $concurrency);
	create_lm($node, 'two', $mock, 'judge-rules+seed-2', max_concurrency => $concurrency);
	create_lm($node, 'failing', $mock, 'judge-rules+reject-25', max_concurrency => $concurrency);
	value($node, $world);
	value($node, q{VACUUM ANALYZE});
	value($node, <<~"SQL");
		SELECT gepa.create_judge('j', 'one', '$self->{judges}{j}'), gepa.create_judge('k', 'two', '$self->{judges}{k}'),
			gepa.create_judge('m', 'one', '$self->{judges}{m}', options => '{"inputs": ["title", "body"]}'),
			gepa.create_judge('f', 'failing', '$self->{judges}{f}');
		SQL
	return $self;
}

# One more judge, on an LM of its name.
sub add_judge
{
	my ($self, $name, $model) = @_;

	$self->{judges}{$name} = 'Is it so?';
	create_lm($self->{node}, $name, $self->{mock}, $model, max_concurrency => $concurrency);
	value($self->{node}, "SELECT gepa.create_judge('$name', '$name', 'Is it so?')");
	return;
}

sub restart
{
	my ($self, $conf) = @_;

	$self->{node}->append_conf('postgresql.conf', $conf);
	$self->{node}->restart;
	return;
}

# -- one statement in one mode

sub _settings
{
	my ($mode, $case) = @_;
	my $word = $case->{commit} ? 'SET' : 'SET LOCAL';
	my @settings = ("gepa.enable_judge_node = $mode", split /,\s*/, $case->{set} // '');

	return join '', map { "$word $_;\n" } @settings;
}

sub _before
{
	my ($mode, $case) = @_;
	return ($case->{before} ? "$case->{before};\n" : '') . ($case->{as} ? "SET LOCAL ROLE $case->{as};\n" : '') . _settings($mode, $case);
}

# Versions that nobody has asked, in the transaction of the statement where it has one.
sub _versions
{
	my ($self) = @_;
	my $n = ++$self->{cases};
	my $all = join ', ', map { "gepa.alter_judge('$_', prompt => '$self->{judges}{$_}\nCase $n.')" } sort keys %{ $self->{judges} };

	return "\\o /dev/null\nSELECT $all;\n\\o\n";
}

sub _script
{
	my ($self, $mode, $case) = @_;
	my ($begin, $end) = $case->{commit} ? ('', '') : ("BEGIN;\n", "ROLLBACK;\n");

	return $begin . $self->_versions . _before($mode, $case)
	  . "$case->{sql};\n" . ($case->{after} ? "$case->{after};\n" : '') . $end . "SELECT 'alive';\n";
}

# What psql adds to where a message came from is not the statement's.
sub _execute
{
	my ($self, $mode, $case) = @_;
	my $mock = $self->{mock};

	$mock->reset;
	$mock->meet(2, $case->{peak} eq 'many' ? 1 : 0.01) if $mode eq 'on';
	my ($out, $err) = outcome($self->{node}, $self->_script($mode, $case));
	my $journal = $mock->journal;
	my $alive = $out =~ s/\n?alive$//;

	$err =~ s/^psql:\S+ //mg;
	$err =~ s/^LOCATION:.*\n?//mg;
	$out = join "\n", sort split /\n/, $out if $case->{any_order};
	value($self->{node}, "VACUUM $case->{vacuum}") if $case->{vacuum};
	return { out => $out, err => $err, alive => $alive, peak => $journal->{peak}, requests => $journal->{requests}, texts => $self->_texts };
}

# The multiset, with each text as "model: text".
sub _texts
{
	my ($self) = @_;
	my $by_model = $self->{mock}->texts;
	my %texts;

	for my $model (keys %$by_model)
	{
		$texts{"$model: $_"} = $by_model->{$model}{$_} for keys %{ $by_model->{$model} };
	}
	return \%texts;
}

# In a session for all statements, which never executes any.
sub _plan
{
	my ($self, $mode, $case) = @_;
	my $session = $self->{planner} //= background($self->{node}, '');
	my $sql = $case->{explain} // $case->{sql};

	$self->{mock}->reset;
	$session->{in} .= "BEGIN;\n" . _before($mode, { %$case, commit => 0 })
	  . "EXPLAIN (COSTS OFF) $sql;\nROLLBACK;\nDEALLOCATE ALL;\n\\echo planned\n";
	$session->{run}->pump until $session->{out} =~ s/^(.*)planned\n$//s;
	my $plan = $1 . $session->{err};
	$session->{err} = '';
	return { plan => $plan, requests => $self->{mock}->journal->{requests} };
}

# -- what is wrong

sub _shown
{
	my ($texts) = @_;
	return join ', ', map { "$_ x $texts->{$_}" } sort keys %$texts;
}

# One multiset without another.
sub _less
{
	my ($these, $those) = @_;
	my %rest;

	for my $text (keys %$these)
	{
		my $more = $these->{$text} - ($those->{$text} // 0);
		$rest{$text} = $more if $more > 0;
	}
	return \%rest;
}

sub _wrong_calls
{
	my ($case, $off, $on) = @_;
	my ($new, $missing) = (_less($on->{texts}, $off->{texts}), _less($off->{texts}, $on->{texts}));
	my @wrong;

	push @wrong, 'nothing reached the mock' if !$off->{requests} || !$on->{requests};
	push @wrong, 'not sent: ' . _shown($missing) if %$missing && !$case->{fewer} && !$case->{order};
	if (defined $case->{early})
	{
		my $scans = $case->{scans} // 1;
		my ($ahead, $bound) = (sum0(values %$new), min($scans * $case->{early} + $off->{requests}, $scans * $window));
		push @wrong, "$ahead texts ahead of $off->{requests}, more than $bound: " . _shown($new) if $ahead > $bound;
	}
	elsif (%$new && !$case->{order}) { push @wrong, 'sent besides: ' . _shown($new); }
	push @wrong, map { "must not be sent: $_" } grep { $case->{never} && /$case->{never}/ } keys %{ $off->{texts} }, keys %{ $on->{texts} };
	push @wrong, map { 'none of what is always sent' } grep { $case->{always} && !grep { /$case->{always}/ } keys %{ $_->{texts} } } $off, $on;
	push @wrong, "$off->{peak} at a time with the node off" if $off->{peak} > 1;
	push @wrong, "$on->{peak} at a time with the node on" if ($on->{peak} > 1 ? 'many' : 'one') ne $case->{peak} && $case->{peak} ne 'any';
	return @wrong;
}

sub _wrong_end
{
	my ($case, $mode, $ran) = @_;
	my @wrong;

	push @wrong, "the session is gone, $mode" unless $ran->{alive};
	push @wrong, "says nothing, $mode" if "$ran->{out}$ran->{err}" eq '';
	push @wrong, "not the expected error, $mode: $ran->{err}" if $case->{error} && $ran->{err} !~ $case->{error};
	push @wrong, "an error, $mode: $ran->{err}" if !$case->{error} && $ran->{err} =~ /(?:ERROR|FATAL|PANIC):/;
	return @wrong;
}

sub _wrong_plan
{
	my ($self, $case) = @_;
	my ($off, $on) = map { $self->_plan($_, $case) } qw(off on);
	my @wrong;

	push @wrong, "EXPLAIN sent: $on->{plan}" if $off->{requests} || $on->{requests};
	push @wrong, "a node that is switched off: $off->{plan}" if $off->{plan} =~ $node_in_plan;
	push @wrong, ($case->{node} ? 'no node: ' : 'a node: ') . $on->{plan}
	  if defined $case->{node} && ($on->{plan} =~ $node_in_plan) == !$case->{node};
	push @wrong, "not the plan that is wanted: $_->{plan}" for grep { $case->{plan} && $_->{plan} !~ $case->{plan} } $off, $on;
	return @wrong;
}

# A list; nothing where all is as it should be.
sub wrong
{
	my ($self, $given) = @_;
	my ($sql, @options) = ref $given ? @$given : $given;
	my $case = { sql => $sql, node => 1, peak => 'many', @options };
	my ($off, $on) = map { $self->_execute($_, $case) } qw(off on);
	my @wrong = (_wrong_calls($case, $off, $on), _wrong_end($case, 'off', $off), _wrong_end($case, 'on', $on));

	for my $what (qw(out err))
	{
		push @wrong, "off says:\n$off->{$what}\nand on:\n$on->{$what}" if $off->{$what} ne $on->{$what};
	}
	push @wrong, $self->_wrong_plan($case) unless ($case->{explain} // 1) eq '';
	return @wrong;
}

sub run
{
	my ($self, @cases) = @_;

	while (my ($name, $given) = splice @cases, 0, 2)
	{
		is(join("\n", $self->wrong($given)), '', $name);
	}
	finish(delete $self->{planner}) if $self->{planner};
	return;
}

1;
