/*-------------------------------------------------------------------------
 *
 * store_key.h
 *	  What names a verdict in shared memory: for the ring and for leases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_KEY_H
#define GEPA_STORE_STORE_KEY_H

#include "miscadmin.h"

#include "judge/judge.h"

typedef struct StoreKey
{
	Oid			database;
	uint8		account[JUDGE_DIGEST_LENGTH];	/* StoreAccount.key */
	uint8		digest[JUDGE_DIGEST_LENGTH];	/* of the document */
} StoreKey;

static inline void
gepa_store_key_set(StoreKey *key, Oid database, const uint8 *account, const uint8 *digest)
{
	key->database = database;
	memcpy(key->account, account, JUDGE_DIGEST_LENGTH);
	memcpy(key->digest, digest, JUDGE_DIGEST_LENGTH);
}

/* In this session's database. */
static inline bool
gepa_store_key_is(const StoreKey *key, const uint8 *account, const uint8 *digest)
{
	return key->database == MyDatabaseId &&
		memcmp(key->digest, digest, JUDGE_DIGEST_LENGTH) == 0 &&
		memcmp(key->account, account, JUDGE_DIGEST_LENGTH) == 0;
}

#endif							/* GEPA_STORE_STORE_KEY_H */
