# Tuning a judge of images: the reflection LM is shown the pictures that its records speak of, and only
# so can find the rule; one that takes none gets the placeholders alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Picture;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $create = "SELECT gepa.create_dataset('%s', source => '%s', key => 'id', inputs => '{photo}', label => 'keep', feedback => 'note')";

create_lm($node, 'judge', $mock, 'judge-rules', max_concurrency => 4);
create_lm($node, 'writer', $mock, 'reflector');
load_pictures($node, 'labels', rows => 160, seed => 3);
value($node, 'ALTER DATABASE postgres SET bytea_output = escape');
value($node, sprintf $create, 'labels', 'labels');

sub tune
{
	my ($what, $budget, $options) = @_;
	my $run;

	$mock->reset;
	$run = start_run($node, budget => $budget, seed => 1, options => $options);
	is(wait_run($node, $run), 'finished', "$what: the run ends");
	is(run_flaws($node, $run), '', '... whole');
	return $run;
}

# What came of the last run.
sub quality
{
	my ($run) = @_;
	value($node, "SELECT gepa.deploy($run)");
	return split /\|/, value($node, "SELECT baseline, tuned FROM gepa.report('j') WHERE metric = 'accuracy'");
}

my @reflections = ();

sub reflections { return grep { $_->{model} eq 'reflector' } $mock->requests; }

for my $case ([ 'default mode', 600, '{}' ], [ 'reference mode', 900, reference_mode() ], [ 'in groups', 600, '{"combee": true}' ])
{
	my ($what, $budget, $options) = @$case;

	value($node, "SELECT gepa.drop_judge('j')") if $what ne 'default mode';
	picture_judge($node, 'j', 'judge', options => { reasoning => JSON::PP::true });
	my $run = tune($what, $budget, $options);
	my ($baseline, $tuned) = quality($run);
	cmp_ok($baseline, '<', 0.8, "... the seed knows too little: $baseline");
	cmp_ok($tuned, '>=', 0.9, "... the winner enough: $tuned");
	@reflections = grep { ref $_->{messages}[0]{content} } reflections();
	is( scalar(grep {
				my ($text, @images) = @{ $_->{messages}[0]{content} };
				my @places = $text->{text} =~ /\[IMAGE-\d+\]/g;
				@places != @images || $text->{text} !~ /\nImages are attached: those of the first @{[ scalar @images ]} placeholders[^\n]*\n\n# Example 1\n/;
			} @reflections), 0, '... each reflection has a picture for each placeholder, and a line that says so');
	cmp_ok(scalar(@reflections), '>', 0, '... and there are some');
	is(value($node, "SELECT count(*) FROM gepa.proposals WHERE run = $run AND reflection_prompt ~ 'base64'"), 0, '... which are not kept in the journal');
}

# A reflection LM that takes no images.
value($node, "ALTER SERVER writer OPTIONS (ADD images 'false'); SELECT gepa.drop_judge('j')");
picture_judge($node, 'j', 'judge');
tune('a writer without eyes', 200, '{"max_proposals": 3}');
is(scalar(grep { ref $_->{messages}[0]{content} } reflections()), 0, '... is sent none');
cmp_ok(scalar(grep { $_->{messages}[0]{content} =~ /\[IMAGE-1\]/ } reflections()), '>', 0, '... but placeholders');

# Samples that are no images; examples.
value($node, q(CREATE TABLE bad AS TABLE labels; UPDATE bad SET photo = '<svg/>' WHERE id = 7));
value($node, sprintf $create, 'bad', 'bad');
like((outcome($node, q(SELECT gepa.start('j', 'bad', 'writer', 100))))[1], qr/22023.*no image that can be judged.*known type.*key "7".*HINT/s,
	'a sample that is no image is refused by its key');
like((outcome($node, q(SELECT gepa.start('j', 'labels', 'writer', 100, options => '{"examples": true}'))))[1], qr/0A000.*cannot be tuned/s, 'examples are refused');
like((outcome($node, q(SELECT gepa.start('j', 'labels', NULL, 100))))[1], qr/0A000.*cannot be tuned/s, '... and without a reflection LM nothing is left');

done_testing();
