# Programs of DSPy: what it saved becomes a judge and comes out again without loss,
# tuned or not, and what comes out of any judge it can load.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Python;
use Gepa::Run;
use Gepa::Test;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $folder = PostgreSQL::Test::Utils::tempdir();

prepare_tuning($node, $mock);
python('programs.py', 'make', $folder);

sub import_program
{
	my ($name, $file, $options, %more) = @_;
	my ($out, $err) = outcome($node, sprintf "SELECT gepa.import_program('%s', 'judge', pg_read_file('%s/%s.json')::json%s, options => '%s')",
		$name, $folder, $file, $more{labels} ? ", labels => '$more{labels}', positive => '$more{positive}'" : '', $options // '{}');

	return wantarray ? ($out, $err) : $out;
}

sub export_program
{
	my ($name, $file) = @_;
	append_to_file("$folder/$file.json", value($node, "SELECT gepa.export_program('$name')"));
	return;
}

sub version
{
	my ($name, $columns) = @_;
	return value($node, "SELECT $columns FROM gepa.judge_versions WHERE judge = '$name' AND current");
}

# Into judges, and out of them.
my ($out, $err) = import_program('page', 'page', '{}', labels => '{keep,drop}', positive => '{keep}');
is($out, 1, 'a lone predictor becomes version 1 of a judge');
like($err, qr/NOTICE:  00000: demos that the judge does not show: 1\n.*HINT:/s, '... which says what it does not show');
is(version('page', q{components ->> 'instruction'}), "Is this page worth keeping?\n\nPages about *naïve* cooking are.", '... with its instructions');
is(version('page', q{options -> 'inputs' || to_jsonb(labels) || to_jsonb(positive)}), '["page_text", "siteName", "keep", "drop", "keep"]',
	'... names of its fields, from descriptions and demos, and labels');
is(version('page', q{(SELECT jsonb_agg(e - 'digest') FROM jsonb_array_elements((components ->> 'examples')::jsonb) e)}),
	'[{"label": "keep", "document": {"siteName": "a.example", "page_text": "Cook with \"salt\" ✓"}}, {"label": "drop", "document": {"siteName": "b.example", "page_text": "Buy now"}}]',
	'... and its demos as examples');
is(import_program('thinking', 'thinking'), 1, 'ChainOfThought');
is(version('thinking', q{(options ->> 'reasoning') || ' ' || (options ->> 'inputs') || ' ' || jsonb_array_length((components ->> 'examples')::jsonb)}),
	'true ["document"] 2', '... is a judge that gives reasons');
is(import_program('steps', 'steps', '{"inputs": ["document"], "outputs": {"claims": {"type": "array", "items": {"type": "string"}}}}'), 1, 'several predictors');
is(version('steps', q{(SELECT string_agg((s ->> 'name') || ' ' || (s ->> 'inputs') || ' ' || (s ->> 'outputs'), '; ') FROM jsonb_array_elements(options -> 'steps') s) || '; ' || (options ->> 'verdict_inputs')}),
	'zclaims ["document"] {"claims": {"type": "array", "items": {"type": "string"}}}; check ["claims"] {"errors": {"type": "string"}, "check_reasoning": {"type": "string"}}; ["document", "errors"]',
	'... are a judge with steps, in the order of the file');
is(version('steps', q{components ->> 'check'}), 'Check each claim.', '... each with its instructions');
my @names = qw(page thinking steps);

export_program($_, "$_.out") for @names;
is(python('programs.py', 'compare', $folder, map { ($_, "$_.out") } @names), join("\n", map { "$_, $_.out: the same" } @names),
	'DSPy has the same program after loading what came out');
unlike(slurp_file("$folder/page.out.json") . value($node, 'SELECT string_agg(program::text, $$$$) FROM gepa.imported_program'), qr/secret/, 'no key is kept');

# A file of ours says by itself what DSPy's does not.
for my $name (@names)
{
	is(import_program("$name again", "$name.out"), 1, "$name: what came out comes in");
	is(version("$name again", 'options || components'), version($name, 'options || components'), '... as the same judge');
	is(import_program($name, "$name.out"), 1, '... which is no new version');
}

# Tuned here, loaded there; tuned there, and a version here.
my $run = start_run($node, judge => 'thinking', budget => 100);
is(wait_run($node, $run), 'finished', 'it can be tuned');
value($node, "SELECT gepa.deploy($run, (SELECT max(candidate) FROM gepa.candidates WHERE run = $run), force => true)");
export_program('thinking', 'thinking.tuned');
my $loaded = decode_json(python('programs.py', 'load', $folder, 'thinking.tuned', 'thinking'));
is_deeply($loaded->{predict}{instructions}, decode_json(version('thinking', q{jsonb_build_array(components ->> 'instruction')}))->[0], 'DSPy loads the tuned text');
python('programs.py', 'again', $folder, 'thinking.tuned', 'thinking');
is(import_program('thinking', 'thinking.tuned'), value($node, "SELECT max(version) FROM gepa.judge_versions WHERE judge = 'thinking'"), 'what DSPy saves of it is a new version');
like(version('thinking', q{components ->> 'instruction'}), qr/ Tuned\.\z/, '... with its text');
is(version('thinking', q{to_jsonb(labels) || to_jsonb(positive)}), '["true", "false", "true"]', '... and the labels that the judge had');

# Judges that no file is behind.
value($node, q{SELECT gepa.create_judge('lone', 'judge', 'Is it "good"?', options => '{"max_chars": 500, "threshold": 0.7, "examples": [{"document": "d ✓", "label": "true"}]}'),
	gepa.create_judge('predict', 'judge', 'Is it good?', options => '{"reasoning": true}'),
	gepa.create_judge('judge', 'judge', 'Is it good?', options => '{"reasoning": true, "steps": [{"name": "claims", "prompt": "List claims.", "outputs": {"claims": {"type": "array", "items": {"type": "string"}}}}]}')});
is_deeply(
	[ map { export_program($_, $_); decode_json(python('programs.py', 'load', $folder, $_, $_)) } qw(lone predict judge) ],
	[ { self => { instructions => 'Is it "good"?', fields => [ 'Document:', 'Label:' ], demos => [ { document => "d \x{2713}", label => 'true' } ] } },
		{ predict => { instructions => 'Is it good?', fields => [ 'Document:', 'Reasoning:', 'Label:' ], demos => [] } },
		{ claims => { instructions => 'List claims.', fields => [ 'Document:', 'Claims:' ], demos => [] },
			'judge.predict' => { instructions => 'Is it good?', fields => [ 'Document:', 'Claims:', 'Reasoning:', 'Label:' ], demos => [] } } ],
	'DSPy loads any judge');
for my $name (qw(lone predict judge))
{
	import_program("$name too", $name);
	is(version("$name too", q{lm || options::text || components || digest}), version($name, q{lm || options::text || components || digest}), "$name: the file makes the same judge");
}

# Options that are the judge's own: how it is asked, and what it is shown.
value($node, q{SELECT gepa.create_judge('photos', 'judge', 'Is it good?', options => '{"inputs": ["caption", "photo"], "images": ["photo"], "votes": 3, "effort": "low", "thinking_budget": 100}')});
export_program('photos', 'photos');
import_program('photos too', 'photos');
is(version('photos too', 'options::text || digest'), version('photos', 'options::text || digest'), 'a judge of images with votes comes back as it was');
import_program('photos once', 'photos', '{"votes": null, "images": []}');
is(version('photos once', q{options ? 'votes' OR options ? 'images'}), 'f', '... or as options say');

is(value($node, "SELECT (gepa.export_program('lone')::jsonb #>> '{metadata,gepa,options,threshold}')::float8"), '0.7', 'the file has what DSPy does not know');

done_testing();
