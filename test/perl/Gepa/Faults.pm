# What an endpoint can do wrong, for the table in docs/lm.md and whoever wants all of it.
#
#   for my $fault (faults()) { ... }
#   $fault->{model}     modifiers of the mock's model, test/mock/README.md
#   $fault->{does}      what the endpoint does, in words
#   $fault->{options}   of the server, beyond base_url and model
#   $fault->{warm}      true: an ordinary call comes before
#   $fault->{once}      true: who was told once is not told again
package Gepa::Faults;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(faults);

my @faults = (
	[ 'Answers' ],
	[ 'prose', 'an answer in prose' ],
	[ 'extra', 'text around the JSON' ],
	[ 'twojson', 'the JSON twice' ],
	[ 'fenced', 'the JSON in a fence of Markdown' ],
	[ 'badlabel', 'a label that is none of the judge\'s' ],
	[ 'wrongtype', 'a label of the wrong type' ],
	[ 'labelnull', 'a label that is null' ],
	[ 'labellist', 'a list of labels' ],
	[ 'labelnan', 'a label that is NaN' ],
	[ 'dupkeys', 'the label twice: the last counts' ],
	[ 'nul', 'a NUL escape in the label' ],
	[ 'empty', 'empty content' ],
	[ 'notext', 'content that is no text' ],
	[ 'think', 'thinking before the answer' ],
	[ 'unclosed', '`<think>` that is never closed' ],
	[ 'tool', 'a tool call' ],
	[ 'choices', 'several choices: the first counts' ],
	[ 'refusal', 'the model refuses' ],
	[ 'filter', 'the provider\'s content filter stops it' ],
	[ 'length', 'the answer is cut off' ],
	[ 'nofinish', 'no finish reason' ],
	[ 'nousage', 'usage is absent' ],
	[ 'badusage', 'usage is nonsense' ],
	[ 'nologprobs', 'log-probabilities are absent', logprobs => 'true' ],
	[ 'badlogprobs', 'log-probabilities are malformed', logprobs => 'true' ],
	[ 'poslogprobs', 'log-probabilities are above 0', logprobs => 'true' ],
	[ 'otherlogprobs', 'log-probabilities are those of another text', logprobs => 'true' ],
	[ 'Bodies' ],
	[ 'truncated-json', 'truncated JSON' ],
	[ 'badutf8', 'invalid UTF-8' ],
	[ 'nulbody', 'a NUL escape in the content' ],
	[ 'surrogate', 'half of a surrogate pair' ],
	[ 'nan', 'NaN beside the content' ],
	[ 'dupbody', 'duplicate keys: the last counts' ],
	[ 'nochoices', 'no choices' ],
	[ 'nomessage', 'a choice without a message' ],
	[ 'array', 'an array' ],
	[ 'deep', '100,000 brackets' ],
	[ 'many', '3 million values' ],
	[ 'bom', 'a byte order mark before the JSON' ],
	[ 'blank', 'an empty body' ],
	[ '204', 'HTTP 204' ],
	[ 'html', 'a page of HTML' ],
	[ 'stream', 'a stream of events' ],
	[ 'type', 'the wrong content type' ],
	[ 'gateway-400', 'HTTP 200 with error 400 inside' ],
	[ 'gateway-503', 'HTTP 200 with error 503 inside' ],
	[ 'huge', 'a body of 100 MB' ],
	[ 'huge+nolength', '... without a length' ],
	[ 'gzip', 'a body in gzip' ],
	[ 'bomb', 'a bomb in gzip' ],
	[ 'tebomb', 'a bomb as a transfer coding' ],
	[ 'HTTP' ],
	[ 'headers', 'headers of 1 MB' ],
	[ 'longheader', 'one header of 1 MB' ],
	[ 'longstatus', 'a status line of 1 MB' ],
	[ 'nulheader', 'a NUL byte in a header' ],
	[ 'continues', '1 MB of 100 Continue' ],
	[ 'hints', '103 Early Hints' ],
	[ 'http10', 'HTTP/1.0, and closes' ],
	[ 'http09', 'no head at all' ],
	[ 'closing', 'closes a connection it said it keeps', warm => 1 ],
	[ 'stale', 'a kept connection closed under the request', warm => 1 ],
	[ 'chunked', 'chunked encoding' ],
	[ 'badchunk', 'broken chunked encoding' ],
	[ 'cutchunk', 'truncated chunked encoding' ],
	[ 'shortlength', 'more body than Content-Length says' ],
	[ 'longlength', 'less body than Content-Length says' ],
	[ 'badlength', 'a Content-Length that is no number' ],
	[ 'twolengths', 'two Content-Length' ],
	[ 'drop', 'closed before the response' ],
	[ 'drop-body', 'closed inside the body' ],
	[ 'reset', 'reset before the response' ],
	[ 'reset-body', 'reset inside the body' ],
	[ 'hang', 'no answer', request_timeout => '0.3' ],
	[ 'drip-100', 'a byte every 100 ms', request_timeout => '0.3' ],
	[ 'redirect-metadata', 'a redirect to a private address' ],
	[ 'Errors' ],
	[ '400', 'the request is not valid' ],
	[ 'reject-100', 'the text is not taken' ],
	[ 'toolong', 'the context is too short for the text' ],
	[ '413', 'the body is too large' ],
	[ '401', 'the key is refused' ],
	[ '403', 'the key may not use the model' ],
	[ '404', 'the model does not exist' ],
	[ 'quota', 'the quota is exhausted' ],
	[ '408', 'request time-out' ],
	[ '409', 'conflict' ],
	[ '425', 'too early' ],
	[ '429-bare', 'too many requests' ],
	[ '429-s1-once', '... once, Retry-After in seconds' ],
	[ '429-date-once', '... once, Retry-After as a date' ],
	[ '429-past', '..., Retry-After in 1970' ],
	[ '429-minus', '..., Retry-After below 0' ],
	[ '429-vast', '..., Retry-After 1e30' ],
	[ '429-soon', '..., Retry-After "soon"' ],
	[ '429-s7200', '..., Retry-After in two hours', once => 1 ],
	[ '429-far', '..., Retry-After in the year 9999', once => 1 ],
	[ '500', 'the server has an error' ],
	[ '502+html', 'a gateway\'s page of HTML' ],
	[ '503-bare', 'the server is overloaded' ],
	[ '529', '... with a number of its own' ],
	[ '503-bare-n2', 'a burst of two' ],
	[ '999', 'a status that there is none of' ]);

# In order; a title alone is the heading of those that follow.
sub faults
{
	return map {
		my ($model, $does, %options) = @$_;
		my ($warm, $once) = (delete $options{warm}, delete $options{once});
		{ model => $model, does => $does, options => \%options, warm => $warm, once => $once }
	} @faults;
}

1;
