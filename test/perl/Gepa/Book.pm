# What sessions on the mock LM have paid for, and which answers were surely handed over.
#
#   my $book = Gepa::Book->new($mock, qr/document (\d+)/, $concurrency);    the LM's max_concurrency
#   my @handed = $book->settle('killed', $overlaps);     after each session; returns what it has handed over
#   ... ->settle('cancelled', $overlaps, $time)          when: what was answered before is not in doubt
#   $book->handed, $book->doubtful                       documents, by number
#   $book->paid_again                                    more often than doubts explain
#   $book->not_paid(@stored)                             of these
#   $book->certain                                       paid for, and never in doubt
#   $book->most                                          calls of one session that were cut off
#
# Handed over is what a session has taken in.  The journal tells what that is: without
# overlap, when the next request comes, the answer before was handed over.  With several
# calls in flight answers are taken in as they come, so in doubt are the last to be
# answered, and no others.  How many, of all that it sent, depends on how it has ended:
#
#                   one call at a time    several
#   all             -                     -                    it took in all it asked for
#   early           -                     max_concurrency      a LIMIT, an error: what was on the wire
#   cancelled       1                     max_concurrency      the same
#   killed          1                     2 * max_concurrency  what it had in hand besides: of that and what is
#                                                              on the wire there are so many at most
package Gepa::Book;

use strict;
use warnings;

use List::Util qw(max);
use Test::More;

sub new
{
	my ($class, $mock, $document, $concurrency) = @_;
	my %limits = (all => [ 0, 0 ], early => [ 0, $concurrency ], cancelled => [ 1, $concurrency ], killed => [ 1, 2 * $concurrency ]);

	return bless { mock => $mock, document => $document, concurrency => $concurrency, limits => \%limits,
		handed => {}, doubts => {}, paid => {}, most => 0 }, $class;
}

# What was asked for since the last time, as it was answered; what was not comes apart.
sub _asked
{
	my ($self) = @_;
	my @requests = map { $_->{messages}[-1]{content} =~ $self->{document} ? { %$_, id => 0 + $1 } : () } $self->{mock}->requests;
	my @answered = sort { $a->{time_out} <=> $b->{time_out} } grep { $_->{status} } @requests;

	$self->{mock}->reset;
	$self->{paid}{ $_->{id} }++ for @requests;
	return (\@answered, [ grep { !$_->{status} } @requests ]);
}

sub settle
{
	my ($self, $end, $overlaps, $cut_at) = @_;
	my ($answered, $cut) = $self->_asked;
	my $limit = $self->{limits}{$end}[ $overlaps ? 1 : 0 ];
	my $wire = $overlaps ? $self->{concurrency} : 1;
	my @asked = (@$answered, @$cut);
	my $certain = grep { $_->{time_out} < ($cut_at || 0) } @$answered;
	my @doubtful = splice @asked, max(@asked - $limit, $certain);

	cmp_ok(scalar(@$cut), '<=', $limit < $wire ? $limit : $wire, "no more is cut off than may be in flight ($end)") if @$cut;
	$self->{most} = max($self->{most}, scalar @$cut);
	$self->{doubts}{ $_->{id} }++ for @doubtful;
	$self->{handed}{ $_->{id} } = 1 for @asked;
	return map { $_->{id} } @asked;
}

sub _sorted { return sort { $a <=> $b } @_; }

sub handed { my @ids = _sorted(keys %{ $_[0]{handed} }); return @ids; }

sub doubtful { my @ids = _sorted(keys %{ $_[0]{doubts} }); return @ids; }

sub paid_again { my ($self) = @_; return _sorted(grep { $self->{paid}{$_} > 1 + ($self->{doubts}{$_} // 0) } keys %{ $self->{paid} }); }

sub not_paid { my ($self, @stored) = @_; return grep { !$self->{paid}{$_} } @stored; }

sub certain { my ($self) = @_; return _sorted(grep { !$self->{doubts}{$_} } keys %{ $self->{paid} }); }

sub most { return $_[0]{most}; }

1;
