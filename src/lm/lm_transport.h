/*-------------------------------------------------------------------------
 *
 * lm_transport.h
 *	  What transport.c, transfer.c, connection.c and receive.c share: HTTP by libcurl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_TRANSPORT_H
#define GEPA_LM_LM_TRANSPORT_H

#include <curl/curl.h>
#include <signal.h>

#include "lm/lm_internal.h"

/*
 * A response is a few kB; with reasoning and log-probabilities perhaps a few
 * hundred.  More than this is an accident or an attack.
 */
#define LM_MAX_RESPONSE_BYTES (16 * 1024 * 1024)

/* The one macro that hides a return: every option of "easy" must take. */
#define LM_SET(option, value) \
	do { \
		if (curl_easy_setopt(easy, (option), (value)) != CURLE_OK) \
			return false; \
	} while (0)

/* receive.c: callbacks of libcurl, with an LmReceived as argument; never raise */

typedef struct LmReceived
{
	char	   *body;			/* malloc'd, NULL = nothing; the owner frees
								 * it */
	size_t		length;
	size_t		room;
	bool		too_big;		/* body or header */
	size_t		header_bytes;
	int64		content_length; /* as the header says; -1 = not yet */
	const char *complaint;		/* what is wrong with the header */
	LmPace		pace;			/* what the header says of when to come back */
} LmReceived;

/* It is all zero before. */
extern void gepa_lm_receive_start(LmReceived *received);
extern size_t gepa_lm_receive_body(char *data, size_t size, size_t n, void *arg);
extern size_t gepa_lm_receive_header(char *data, size_t size, size_t n, void *arg);

/* transfer.c */

/* libcurl has ended it with that code: calls the caller's "done". */
extern void gepa_lm_transfer_finish(LmTransfer *transfer, CURLcode code);

/* transport.c */

/* Make the multi handle at first use; raises. */
extern void gepa_lm_transport_open(void);

/* A descriptor of fd.c's account, to be released with ReleaseExternalFD(). */
extern bool gepa_lm_transport_acquire_fd(void);

/* Put an easy handle, whose CURLOPT_PRIVATE is its transfer, on the wire, or take it off. */
extern CURLMcode gepa_lm_transport_add(CURL *easy);
extern void gepa_lm_transport_remove(CURL *easy);

/* Let libcurl do what it wants to have done by now. */
extern void gepa_lm_transport_poke(void);

/* Around every call into libcurl that may start a thread. */
extern void gepa_lm_block_signals(sigset_t *saved);
extern void gepa_lm_restore_signals(const sigset_t *saved);

#endif							/* GEPA_LM_LM_TRANSPORT_H */
