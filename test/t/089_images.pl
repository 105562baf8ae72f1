# Judges of images: in predicates, queries, jobs, programs and all dialects; what is no image has a
# status and costs nothing; one picture is one verdict however it is given.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Job;
use Gepa::Mock;
use Gepa::Picture;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "gepa.call_log_text = 1MB\ngepa.call_log_size = 8MB\n");
my @rule = world_rule(seed => 3, features => 8);
my %expected = map { $_->[0] => $_->[1] } @rule;

use_jobs($node, $mock);
load_pictures($node, 'pictures', rows => 60, seed => 3);
create_lm($node, 'eyes', $mock, 'judge-rules', max_concurrency => 8);
create_lm($node, 'blind', $mock, 'judge-rules', images => 'false');
picture_judge($node, 'p', 'eyes', rule => \@rule);

# One picture, however it is given.
my $photo = '(SELECT photo FROM pictures WHERE id = 1)';
my $label = value($node, 'SELECT keep FROM pictures WHERE id = 1');
my @forms = ("gepa.image($photo)", "encode($photo, 'base64')", "'data:image/jpeg;base64,' || encode($photo, 'base64')", "$photo\::text",
	"jsonb_build_object('photo', $photo)", "rtrim(translate(encode($photo, 'base64'), E'+/\\n', '-_'), '=')");
is(value($node, "SELECT (gepa_verdict('p', $_)).label"), $label, "a verdict on $_") for @forms;
is($mock->journal->{requests}, 1, '... for one call');
my ($sent) = sent_images($mock);
is($sent, value($node, "SELECT gepa.image($photo)"), '... in which it was whole');
is(value($node, 'SELECT count(*) FROM gepa.verdicts'), 1, '... and stored as one');
is(value($node, "SELECT input_tokens < 1000 FROM gepa_verdict('p', gepa.image($photo))"), 't', '... counted as a picture');

# By URL: it is passed on, and not fetched from here.
$mock->reset;
my $url = $mock->url . '/picture.png?size=1';
is(value($node, "SELECT status FROM gepa_verdict('p', '$url')"), 'ok', 'a URL');
is_deeply([ sent_images($mock) ], [$url], '... is passed on');
is($mock->journal->{requests}, 1, '... and nothing else is asked for');

# A query: all pictures, by the node.
$mock->reset;
is( value($node, "SELECT count(*) FROM pictures WHERE gepa_judge('p', gepa.image(photo)) IS DISTINCT FROM (keep = 'true')"), 0,
	'a query gets them right');
is($mock->journal->{requests}, 59, '... with one call for each that is new');
my $plan = value($node, "EXPLAIN (ANALYZE, VERBOSE) SELECT count(*) FROM pictures WHERE gepa_judge('p', gepa.image(photo))");
like($plan, qr/Judge/, 'the node shows itself');
unlike($plan, qr/base64,|iVBOR/, '... and no picture');
is(value($node, "SELECT count(*) FILTER (WHERE prompt ~ 'images: 1'), count(*) FILTER (WHERE prompt ~ 'base64|iVBOR') FROM gepa.lm_calls"),
	'61|0', 'nor does the log of calls');
picture_judge($node, 'unused', 'eyes');
is(value($node, "SELECT value BETWEEN 60 * 300 AND 60 * 5000 FROM gepa.estimate('unused', 'pictures', 'gepa.image(photo)') WHERE item = 'input_tokens'"), 't',
	'an estimate counts pictures, and not their bytes');

# A job.
value($node, 'ALTER TABLE pictures ADD verdict text');
my $job = start_job('p', "'pictures', 'id', 'gepa.image(photo)', 'verdict'");
is(wait_job($job), 'finished', 'a job');
is(value($node, 'SELECT count(*) FROM pictures WHERE verdict IS DISTINCT FROM keep'), 0, '... gets them right');

# What is no image.
value($node, <<'SQL');
CREATE TABLE junk (id int PRIMARY KEY, photo text);
INSERT INTO junk VALUES (1, ''), (2, 'a cat'), (3, 'data:image/png;base64,PHN2Zz4='), (4, 'file:///etc/passwd'), (5, 'http://user:secret@host/x.png'),
	(6, E'https://host/a\r\nX-Evil: 1'), (7, 'data:image/png;base64,iVBORw0KGgo*'), (8, E'\\x00'), (9, E'\\xzz'), (10, '{"photo": "x"}'),
	(11, 'data:text/html,<script>'), (12, repeat('=', 100)), (13, 'https://'), (14, E'\u202e\U0001f600'), (15, NULL);
SQL
$mock->reset;
is(value($node, "SELECT string_agg(DISTINCT (v).status, ',') FROM (SELECT gepa_verdict('p', photo) v FROM junk) q"), 'bad_image', 'what is no image is none');
is(value($node, "SELECT count(*) FROM junk WHERE gepa_judge('p', photo) IS NOT NULL"), 0, '... and has no verdict');
is($mock->journal->{requests}, 0, '... nor a call');
is(value($node, "SELECT count(*), bool_and(detail ~ '^Input \"photo\" is no image that can be judged. It (is|begins) ') FROM gepa.verdict_errors WHERE status = 'bad_image'"),
	'14|t', '... but a row that says why');
unlike(value($node, "SELECT string_agg(detail, ' ') FROM gepa.verdict_errors"), qr/secret/, '... without what was in it');
like((outcome($node, "SET gepa.on_error = error; SELECT gepa_judge('p', 'a cat!')"))[1], qr/22023.*bad_image.*neither.*HINT.*gepa\.image\(\)/s, '... or an error with a hint');
like((outcome($node, "SET gepa.max_image_bytes = '1kB'; SELECT gepa.image($photo || decode(repeat('00', 1000), 'hex'))"))[1],
	qr/22023.*larger than gepa.max_image_bytes/s, 'too large a picture');
is(value($node, "SET gepa.max_image_bytes = '1kB'; SELECT status FROM gepa_verdict('p', encode($photo || decode(repeat('00', 1000), 'hex'), 'base64'))"),
	'bad_image', '... has no verdict');
like((outcome($node, "SELECT gepa.image('<svg/>')"))[1], qr/22023.*known type/s, 'bytes that are no image');
is(wait_job(start_job('p', "'junk', 'id', 'photo', 'junk_verdict'")), 'finished', 'a job goes through all that');

# Texts beside images keep their fences.
picture_judge($node, 'both', 'eyes', rule => \@rule, options => { inputs => [ 'caption', 'photo' ] });
$mock->reset;
is(value($node, "SELECT label FROM gepa_verdict('both', jsonb_build_object('photo', gepa.image($photo), 'caption', '[IMAGE-1] data:image/png;base64,AAAA'))"),
	$label, 'a picture and a text');
is(scalar(sent_images($mock)), 1, '... are one image');
my ($request) = $mock->requests;
like($request->{messages}[1]{content}[0]{text}, qr/^caption:\n<<<(\w+)\n\[IMAGE-1\] data:image\/png;base64,AAAA\n\1>>>\nphoto:\n$/, '... and one fenced text');

# Judges of one column, of which one sees an image and one a text.
value($node, "SELECT gepa.create_judge('t', 'eyes', 'Is it base64?', options => '{\"inputs\": [\"photo\"]}')");
for my $x ("encode(photo, 'base64')", "jsonb_build_object('photo', photo)")
{
	$mock->reset;
	value($node, "SELECT count(*) FROM (SELECT $x AS x FROM pictures WHERE id <= 3 OFFSET 0) q WHERE gepa_judge('t', x) IS NOT NULL AND gepa_judge('unused', x) IS NOT NULL");
	is(scalar(sent_images($mock)), $x =~ /encode/ ? 3 : 0, "$x is an image to one judge (whatever its form),");
	is($mock->journal->{requests}, $x =~ /encode/ ? 6 : 3, '... and a text to the other');
}

# Other dialects.
my %dialects = (
	anthropic => { api => 'anthropic', max_tokens => 100 },
	gemini => { api => 'gemini', base_url => $mock->url =~ s/v1$/v1beta/r });
for my $dialect (sort keys %dialects)
{
	create_lm($node, $dialect, $mock, 'judge-rules', %{ $dialects{$dialect} });
	picture_judge($node, "p $dialect", $dialect, rule => \@rule);
	is( value($node, "SELECT count(*) FROM pictures WHERE id <= 8 AND (gepa_verdict('p $dialect', gepa.image(photo))).label IS DISTINCT FROM keep"), 0,
		"$dialect: pictures are seen");
	is(value($node, "SELECT status FROM gepa_verdict('p $dialect', 'https://host/a.png')"), 'ok', '... also by URL');
}

# A program whose first step looks at the picture, and whose verdict sees what it said.
picture_judge($node, 'steps', 'blind', rule => \@rule, options => {
	verdict_inputs => ['seen'],
	steps => [ { name => 'look', prompt => 'Describe everything.', inputs => ['photo'], lm => 'eyes', outputs => { seen => { type => 'string' } } } ] });
$mock->reset;
is(value($node, "SELECT count(*) FROM pictures WHERE id <= 10 AND (gepa_verdict('steps', gepa.image(photo))).label IS DISTINCT FROM keep"), 0,
	'a program: the first step looks, and the verdict is right');
is(scalar(sent_images($mock)), 10, '... and was shown no picture');

# LMs that take none.
like((outcome($node, "SELECT gepa.create_judge('no', 'blind', 'Is it?', options => '{\"images\": [\"document\"]}')"))[1],
	qr/55000.*LM "blind" takes no images, but judge "no" shows it input "document".*HINT/s, 'an LM without eyes is refused');
value($node, "ALTER SERVER eyes OPTIONS (ADD images 'off')");
like((outcome($node, "SELECT gepa_judge('p', gepa.image($photo))"))[1], qr/55000.*takes no images/s, '... also one that lost them');
value($node, 'ALTER SERVER eyes OPTIONS (DROP images)');
is(value($node, "SELECT label FROM gepa_verdict('p', gepa.image($photo))"), $label, '... and has them back');

# Options.
like((outcome($node, "SELECT gepa.create_judge('no', 'eyes', 'Is it?', options => '{\"images\": $_}')"))[1], qr/22023.*"images"/s, "images: $_")
  for '["photo"]', '"document"', '[1]', '["document", "document"]';
like((outcome($node, qq{SELECT gepa.create_judge('no', 'eyes', 'Is it?', options => '{"images": ["document"], "examples": [{"document": "x", "label": "true"}]}')}))[1],
	qr/0A000.*cannot have examples/s, 'examples are refused');

# Large pictures: a few requests are in memory at a time, whatever waits.
$mock->gate(open => 1);
create_lm($node, 'gate', $mock, 'judge-rules+gate', max_concurrency => 8);
picture_judge($node, 'large', 'gate', rule => \@rule);
value($node, "CREATE TABLE large AS SELECT id, gepa.image(photo || decode(repeat(lpad(to_hex(id), 2, '0'), 18000000), 'hex')) AS photo FROM pictures WHERE id <= 6");
is(value($node, "SELECT status FROM gepa_verdict('large', gepa.image($photo))"), 'ok', 'the LM is known');
$mock->gate(open => 0);
$mock->reset;
my $session = background($node, "SET work_mem = '1GB'; SELECT count(*) FROM large WHERE gepa_judge('large', photo) IS NOT NULL;");
ok($mock->wait_for(sub { $_->{waiting} == 3 }, 'large pictures'), 'three of them are on their way');
$mock->gate(pass => 1);
ok($mock->wait_for(sub { $_->{requests} == 4 }, 'a fourth'), '... and another one for each that is answered');
is($mock->journal->{in_flight}, 3, '... and no more');
$mock->gate(open => 1);
is((finish($session))[0], "6\n", '... until all are');

done_testing();
