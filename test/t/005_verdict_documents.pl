# What becomes of a document on its way to the model: fields, windows, and the
# encoding of the database.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Encode qw(encode_utf8);
use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'plain', $mock, 'judge-rules');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?')");

sub sent { return ($mock->requests)[-1]->{messages}[-1]{content}; }

# What stands between the fences of the last request, and what stands after.
sub taken_apart
{
	return sent() =~ /^<<<([0-9a-f]{16})\n(.*)\n\1>>>\n(.*)$/s ? ($2, $3) : ('', sent());
}

# -- fields

value($node, encode_utf8(q{SELECT gepa.create_judge('f', 'plain', 'Is it good?', options => '{"inputs": ["title", "größe"]}')}));
value($node, encode_utf8(q{SELECT gepa_judge('f', '{"größe": 17.50, "title": "a \"title\"", "other": "kept apart"}'::jsonb)}));
like(sent(), qr/^title:\n<<<(\w{16})\na "title"\n\1>>>\ngröße:\n<<<\1\n17\.50\n\1>>>\nAnswer:$/, 'each field under its name, no others');
my $calls = $mock->journal->{requests};
is(value($node, encode_utf8(q{SELECT gepa_judge('f', '{"title": "x", "größe": null}'::jsonb) IS NULL})), 't', 'a null field is NULL');
like((outcome($node, q{SELECT gepa_judge('f', '{"title": "x"}'::jsonb)}))[1],
	qr/ERROR:  22023: document does not fit judge "f"\nDETAIL:  Field ".*" is missing.\nHINT:  Pass a jsonb object/, 'a missing field is an error');
is($mock->journal->{requests}, $calls, '... both without a call');

# -- windows: valid text, and the prompt says what was cut

my %bodies = (
	'two bytes' => 'ä' x 3000,
	'four bytes' => "\x{1f600}" x 2000,
	'mixed lengths' => join('', map { ('a', 'ö', '語', "\x{1f600}")[ $_ % 4 ] x ($_ % 7) } 1 .. 1500),
	'combining' => "e\x{301}" x 1500,
	'lines' => join("\n", map { "Zeile $_ über 語" } 1 .. 300));
for my $window ('head', 'head_tail', 'head_middle_tail')
{
	value($node, qq{SELECT gepa.create_judge('$window', 'plain', 'Is it good?', options => '{"window": "$window", "max_chars": 100}')});
	for my $name (sort keys %bodies)
	{
		my $body = $bodies{$name};
		my ($seen, $total) = split /\|/,
		  value($node, "SELECT chars_seen, chars_total FROM gepa_verdict('$window', '" . encode_utf8($body) . "')");
		my ($shown, $after) = taken_apart();
		my @parts = split /\n\[\.\.\. \d+ characters left out \.\.\.\]\n?/, $shown, -1;
		my $left_out = 0;

		$left_out += $_ for $shown =~ /\n\[\.\.\. (\d+) characters left out \.\.\.\]/g;
		is($total, length $body, "$window, $name: counted in characters");
		is($after, "Only $seen of $total characters are shown.\nAnswer:", '... the prompt says how many are shown');
		is($left_out, $total - $seen, '... the marks say how many are not');
		is(length join('', @parts), $seen, '... which is so');
		is(scalar(grep { index($body, $_) < 0 } @parts), 0, '... and what is shown stands in the document');
	}
}
value($node, "SELECT gepa_judge('head', '" . 'x' x 100 . "')");
is((taken_apart())[1], 'Answer:', 'nothing is said where nothing was cut');

# -- other encodings: what converts, converts both ways

for my $encoding ('LATIN1', 'SQL_ASCII', 'EUC_JP')
{
	my $text = $encoding eq 'EUC_JP' ? '日本語' : 'Grüße';
	my $db = lc $encoding;
	my $set = $encoding eq 'SQL_ASCII' ? '' : "SET client_encoding = 'UTF8';";

	value($node, "CREATE DATABASE $db ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	value($node, encode_utf8("$set CREATE EXTENSION gepa;
		CREATE SERVER plain FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', allow_private_address 'true', model 'judge-rules+script');
		CREATE SERVER fixed FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', allow_private_address 'true', logprobs 'true', model 'judge-fixed-$text');
		SELECT gepa.create_judge('j', 'plain', 'Is it $text?', options => '{\"reasoning\": true}');
		SELECT gepa.create_judge('l', 'fixed', 'Is it $text?', labels => ARRAY['$text', 'other'], positive => ARRAY['$text'])"), db => $db);
	my $said = value($node, encode_utf8("$set SELECT status, reasoning FROM gepa_verdict('j', 'zorvex $text')"), db => $db);
	is((taken_apart())[0], "zorvex $text", "$encoding: the document is sent in UTF-8");
	like(($mock->requests)[-1]->{messages}[0]{content}, qr/^Is it $text\?/, '... and the instruction');
	is($said, encode_utf8('ok|The document mentions "zorvex". ' . {
		LATIN1 => 'ä ? ? ?', EUC_JP => 'ä ? 語 ?', SQL_ASCII => "ä € 語 \x{1f600}" }->{$encoding}),
		'... the answer is stored, with question marks for what the encoding lacks');
	is(value($node, encode_utf8("$set SELECT label, score > 0.9, status FROM gepa_verdict('l', '$text')"), db => $db),
		encode_utf8("$text|t|ok"), '... labels come back, with their probabilities');
	is(value($node, encode_utf8("$set SELECT cached FROM gepa_verdict('l', '$text')"), db => $db), 't', '... and are found again');

	# a window is counted in characters, and cuts none
	my $long = $text x 40;
	value($node, encode_utf8("$set SELECT gepa.create_judge('w', 'plain', 'Is it $text?', options => '{\"max_chars\": 50, \"window\": \"head\"}')"), db => $db);
	is(value($node, encode_utf8("$set SELECT status, chars_seen, chars_total FROM gepa_verdict('w', '$long')"), db => $db),
		'ok|50|' . length($long), '... a long document is cut');
	is((split /\n/, (taken_apart())[0])[0], substr($long, 0, 50), '... between characters');
}
value($node, encode_utf8("SET client_encoding = 'UTF8';
	CREATE SERVER echo FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', allow_private_address 'true', model 'echo');
	SELECT gepa.create_judge('e', 'echo', 'Is it good?'), gepa_verdict('j', 'x')"), db => 'euc_jp');
value($node, encode_utf8("SET client_encoding = 'UTF8'; SELECT gepa_judge('e', 'x" . '日本語' x 50 . "')"), db => 'euc_jp');
like(value($node, "SET client_encoding = 'UTF8'; SELECT detail FROM gepa.verdict_errors", db => 'euc_jp'),
	qr/x@{[encode_utf8('日本語')]}/, 'EUC_JP: what is shown of a bad answer is cut between characters');

# A run worker converts while no transaction is open.
value($node, encode_utf8("SET client_encoding = 'UTF8';
	CREATE SERVER reflecting FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', allow_private_address 'true', model 'reflector');
	CREATE TABLE labels AS SELECT i AS id, CASE WHEN i % 2 = 0 THEN 'zorvex ' ELSE 'quibly ' END || 'Grüße ' || i AS body, i % 2 = 0 AS keep
		FROM generate_series(1, 40) i;
	SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep');
	SELECT gepa.optimize('j', 'd', 'reflecting', 80)"), db => 'latin1');
is(value($node, 'SELECT status, reflections > 0 FROM gepa.runs', db => 'latin1'), 'finished|t', 'LATIN1: a run finishes');
my @prompts = map { $_->{messages}[0]{content} } grep { $_->{model} eq 'reflector' } $mock->requests;
is(scalar(grep { /\nzorvex Grüße|\nquibly Grüße/ } @prompts), scalar(@prompts), '... and sends documents to reflection in UTF-8');

like((outcome($node, q{SELECT gepa_judge('j', E'\xe9')}, db => 'sql_ascii'))[1],
	qr/ERROR:  22021: invalid byte sequence for encoding "UTF8"/, 'SQL_ASCII: bytes that are no UTF-8 are an error');

done_testing();
