/*-------------------------------------------------------------------------
 *
 * lm_transport.h
 *	  What transport.c, sockets.c, transfer.c, connection.c and receive.c share: HTTP by libcurl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_TRANSPORT_H
#define GEPA_LM_LM_TRANSPORT_H

#include <curl/curl.h>
#include <signal.h>

#include "lib/ilist.h"

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

/* It is all zero before, or of an earlier response, which is forgotten. */
extern void gepa_lm_receive_start(LmReceived *received);
extern size_t gepa_lm_receive_body(char *data, size_t size, size_t n, void *arg);
extern size_t gepa_lm_receive_header(char *data, size_t size, size_t n, void *arg);

/* deadline.c: time-outs that count only time in which the process looks; never raise */

typedef struct LmDeadline
{
	dlist_node	node;
	LmTransfer *transfer;
	int64		started;		/* by the clock of looks */
	int64		due;
} LmDeadline;

/* The process looks now, after it has slept for so many milliseconds at most. */
extern void gepa_lm_deadline_look(int slept_ms);

extern void gepa_lm_deadline_start(LmDeadline *deadline, LmTransfer *transfer, int ms);
extern void gepa_lm_deadline_end(LmDeadline *deadline);
extern double gepa_lm_deadline_elapsed_ms(const LmDeadline *deadline);

/* One whose deadline has passed at the last look; NULL if there is none. */
extern LmTransfer *gepa_lm_deadline_passed(void);

/* When the next one passes if the process goes on looking; gepa_clock_us(), 0 = never. */
extern int64 gepa_lm_deadline_next(void);

/* sockets.c: callbacks of libcurl and what they know; never raise */

/* The epoll descriptor with the sockets, made at the first call; -1 = it cannot be. */
extern int	gepa_lm_sockets_open(void);

/* A socket for libcurl, or -1; and CURLOPT_CLOSESOCKETFUNCTION for it. */
extern curl_socket_t gepa_lm_socket_make(const struct curl_sockaddr *address);
extern int	gepa_lm_socket_close(void *arg, curl_socket_t fd);

/* CURLMOPT_SOCKETFUNCTION */
extern int	gepa_lm_socket_want(CURL *easy, curl_socket_t fd, int what, void *arg,
								void *per_socket);

/* Does libcurl wait for it?  If not it has been taken out of the set. */
extern bool gepa_lm_socket_is_wanted(curl_socket_t fd);

/* transfer.c */

/* It has ended with that code of libcurl's: calls the caller's "done". */
extern void gepa_lm_transfer_finish(LmTransfer *transfer, CURLcode code);

/* transport.c */

/* Make the multi handle at first use; raises. */
extern void gepa_lm_transport_open(void);

/* A descriptor of fd.c's account, to be released with ReleaseExternalFD(). */
extern bool gepa_lm_transport_acquire_fd(void);

/* Put an easy handle, whose CURLOPT_PRIVATE is its transfer, on the wire, or take it off. */
extern CURLMcode gepa_lm_transport_add(CURL *easy);
extern void gepa_lm_transport_remove(CURL *easy);

/* Around every call into libcurl that may start a thread. */
extern void gepa_lm_block_signals(sigset_t *saved);
extern void gepa_lm_restore_signals(const sigset_t *saved);

#endif							/* GEPA_LM_LM_TRANSPORT_H */
