# A judge of three steps in TAP tests: "claims" lists words of the document, "weigh" sums them up on an LM
# of its own, and the verdict sees that summary alone.
#
#   create_program($node, 'p', lm => 'reader', weigher => 'other', look_for => [@words], rule => [[$word, $label], ...]);
#       options => {...}    further options of the judge
package Gepa::Program;

use strict;
use warnings;

use Exporter qw(import);
use Gepa::Test;
use JSON::PP ();

our @EXPORT = qw(create_program);

sub create_program
{
	my ($node, $name, %about) = @_;
	my $prompt = join "\n", 'Is this page worth keeping?',
	  map { qq(RULE: documents that mention "$_->[0]" are $_->[1]) } @{ $about{rule} };
	my $claims = join "\n", 'List the words that matter.', map { qq(LOOK FOR: "$_") } @{ $about{look_for} };
	my $options = JSON::PP->new->canonical->encode({
		verdict_inputs => ['summary'],
		steps => [
			{ name => 'claims', prompt => $claims, inputs => ['document'],
				outputs => { words => { type => 'array', items => { type => 'string' } } } },
			{ name => 'weigh', prompt => 'Sum up everything that was found.', inputs => ['words'], lm => $about{weigher},
				outputs => { summary => { type => 'string' }, n => { type => 'integer' } } } ],
		%{ $about{options} // {} } });

	value($node, "SELECT gepa.create_judge('$name', '$about{lm}', \$prompt\$$prompt\$prompt\$, options => \$options\$$options\$options\$)");
	return;
}

1;
