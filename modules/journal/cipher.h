/* cipher.h - blocks of packed segments under AES-256-GCM.
 *
 * The journal's key is read from a file of 64 hexadecimal digits and encrypts nothing itself. Each
 * file has a key of its own, which HMAC-SHA256 makes of the journal's key, the numbers of journal
 * and segment, and a salt of 128 random bits that the file's header tells. Under that key a block's
 * nonce is its number, and each block is encrypted once: a file that is made again, after a crash
 * too, gets another salt. So a pair of key and nonce could only come twice if two salts of one
 * segment were the same.
 *
 * What is said about a block beside it (the file's header, its number) is authenticated with it:
 * blocks cannot be exchanged, and the header not be changed.
 *
 * A cipher belongs to one thread at a time; keys are never changed. */
#ifndef MODULES_JOURNAL_CIPHER_H
#define MODULES_JOURNAL_CIPHER_H
#include "modules/base/slice.h"

struct os;
struct journal_key;
struct journal_cipher;

enum {
    JOURNAL_SALT_BYTES = 16,
    JOURNAL_KEY_CHECK_BYTES = 16,
    JOURNAL_TAG_BYTES = 16, /* that a block grows by */
};

/* Waits for the disk. -ENOKEY: there is no such file, or it may not be read. -EKEYREJECTED: it does
 * not hold 64 hexadecimal digits (white space at its end does not matter). */
int journal_key_load(struct os *os, const char *file, struct journal_key **out_key);
void journal_key_destroy(struct journal_key *key); /* accepts NULL; leaves nothing in memory */
/* What tells a journal's key from others, and nothing about it. -ENOMEM. */
int journal_key_check(const struct journal_key *key, uint64_t journal,
                      uint8_t out_check[JOURNAL_KEY_CHECK_BYTES]);

/* For the file of one segment with that salt. -ENOMEM. */
int journal_cipher_create(const struct journal_key *key, uint64_t journal, uint64_t number,
                          const uint8_t salt[JOURNAL_SALT_BYTES],
                          struct journal_cipher **out_cipher);
void journal_cipher_destroy(struct journal_cipher *cipher); /* accepts NULL */
/* Puts plain.size + JOURNAL_TAG_BYTES bytes into out. -ENOMEM. */
int journal_cipher_seal(struct journal_cipher *cipher, uint32_t block, struct slice beside,
                        struct slice plain, uint8_t *out);
/* Puts sealed.size - JOURNAL_TAG_BYTES bytes into out. -EBADMSG: somebody has changed something, or
 * it is another key's. */
int journal_cipher_open(struct journal_cipher *cipher, uint32_t block, struct slice beside,
                        struct slice sealed, uint8_t *out);
#endif
