# Pictures in TAP tests: the mock sees of each the word of its colour.
#
#   load_pictures($node, 'pictures', rows => 120, seed => 3)    table: id, photo bytea, keep, note
#   my @rule = world_rule(seed => 3, features => 8)             its hidden rule (Gepa::Test)
#   picture_judge($node, 'p', 'lm', rule => [[$word, $label], ...], options => {...});
#   my @urls = sent_images($mock)                               sources of images in the requests that came
package Gepa::Picture;

use strict;
use warnings;

use Cwd ();
use Exporter qw(import);
use File::Basename ();
use Gepa::Test;
use IPC::Run;
use JSON::PP ();

our @EXPORT = qw(load_pictures picture_judge sent_images);

my $script = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../mock/images.py');

sub load_pictures
{
	my ($node, $table, %options) = @_;
	my @arguments = map { ("--$_", $options{$_}) } sort keys %options;
	my ($sql, $errors) = ('', '');

	IPC::Run::run([ 'python3', $script, '--sql', $table, @arguments ], '>', \$sql, '2>', \$errors)
	  or die "images.py: $errors";
	$node->safe_psql('postgres', $sql);
	return;
}

sub picture_judge
{
	my ($node, $name, $lm, %about) = @_;
	my $prompt = join "\n", 'Is this picture worth keeping?',
	  map { qq(RULE: documents that mention "$_->[0]" are $_->[1]) } @{ $about{rule} // [] };
	my $options = JSON::PP->new->canonical->encode({ inputs => ['photo'], images => ['photo'], %{ $about{options} // {} } });

	value($node, "SELECT gepa.create_judge('$name', '$lm', \$prompt\$$prompt\$prompt\$, options => \$options\$$options\$options\$)");
	return;
}

sub sent_images
{
	my ($mock) = @_;
	return map { $_->{image_url}{url} } grep { $_->{type} eq 'image_url' }
	  map { ref $_->{content} ? @{ $_->{content} } : () } map { @{ $_->{messages} } } $mock->requests;
}

1;
