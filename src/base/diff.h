/*-------------------------------------------------------------------------
 *
 * diff.h
 *	  The difference of two texts, word by word.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_DIFF_H
#define GEPA_BASE_DIFF_H

/*
 * b as it came from a: what went is written [-so-], what came {+so+}, as git's
 * word diff does; runs of either are joined.  A word is a run of what is no
 * blank; a blank that changed counts as a word, so that b can be read off the
 * result.  The number of words that differ is kept least, up to a distance of
 * GEPA_DIFF_MAX_EDITS; beyond it the middle of the texts is written as wholly
 * replaced.  Allocated in the current memory context.
 */
#define GEPA_DIFF_MAX_EDITS 2000
extern char *gepa_word_diff(const char *a, const char *b);

#endif							/* GEPA_BASE_DIFF_H */
