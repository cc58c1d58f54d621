#include "modules/journal/cipher.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/base/os.h"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, KEY_FILE_BYTES_MAX = 256 };

struct journal_key {
    uint8_t bytes[KEY_BYTES];
};

struct journal_cipher {
    EVP_CIPHER_CTX *context; /* with the key, without a nonce */
    uint8_t key[KEY_BYTES];
};

/* ---- keys -------------------------------------------------------------------------------------
 */

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int decode(const char *text, size_t size, uint8_t bytes[KEY_BYTES])
{
    while (size > 0 && strchr(" \t\r\n", text[size - 1]))
        size--;
    if (size != 2 * (size_t)KEY_BYTES) return -EKEYREJECTED;
    for (size_t i = 0; i < KEY_BYTES; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return -EKEYREJECTED;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static int read_key(struct os *os, int fd, uint8_t bytes[KEY_BYTES])
{
    char text[KEY_FILE_BYTES_MAX + 1] = "";
    uint64_t size;
    int rc = os->size(os, fd, &size);

    if (rc < 0) return rc;
    if (size > KEY_FILE_BYTES_MAX) return -EKEYREJECTED;
    rc = os_read_all(os, fd, text, size, 0);
    if (rc == 0) rc = decode(text, size, bytes);
    OPENSSL_cleanse(text, sizeof(text));
    return rc;
}

int journal_key_load(struct os *os, const char *file, struct journal_key **out_key)
{
    struct journal_key *key;
    int rc, fd = os->open(os, file, O_RDONLY, 0);

    if (fd == -ENOENT || fd == -EACCES || fd == -EPERM || fd == -ENOTDIR) return -ENOKEY;
    if (fd < 0) return fd;
    key = calloc(1, sizeof(*key));
    rc = key ? read_key(os, fd, key->bytes) : -ENOMEM;
    (void)os->close(os, fd); /* read only */
    if (rc < 0) {
        journal_key_destroy(key);
        return rc;
    }
    *out_key = key;
    return 0;
}

void journal_key_destroy(struct journal_key *key)
{
    if (!key) return;
    OPENSSL_cleanse(key, sizeof(*key));
    free(key);
}

/* out_bytes has 32. */
static int derive(const struct journal_key *key, struct slice what, uint8_t *out_bytes)
{
    unsigned size;

    if (!HMAC(EVP_sha256(), key->bytes, KEY_BYTES, what.bytes, what.size, out_bytes, &size)) {
        return -ENOMEM;
    }
    assert(size == KEY_BYTES);
    return 0;
}

int journal_key_check(const struct journal_key *key, uint64_t journal,
                      uint8_t out_check[JOURNAL_KEY_CHECK_BYTES])
{
    uint8_t what[13] = "check", bytes[KEY_BYTES];
    int rc;

    store_u64le(what + 5, journal);
    rc = derive(key, slice_of(what, sizeof(what)), bytes);
    if (rc == 0) memcpy(out_check, bytes, JOURNAL_KEY_CHECK_BYTES);
    return rc;
}

/* ---- a segment's file -------------------------------------------------------------------------
 */

int journal_cipher_create(const struct journal_key *key, uint64_t journal, uint64_t number,
                          const uint8_t salt[JOURNAL_SALT_BYTES],
                          struct journal_cipher **out_cipher)
{
    uint8_t what[7 + 16 + JOURNAL_SALT_BYTES] = "segment";
    struct journal_cipher *cipher = calloc(1, sizeof(*cipher));
    int rc = -ENOMEM;

    if (!cipher) return -ENOMEM;
    store_u64le(what + 7, journal);
    store_u64le(what + 15, number);
    memcpy(what + 23, salt, JOURNAL_SALT_BYTES);
    cipher->context = EVP_CIPHER_CTX_new();
    if (cipher->context) rc = derive(key, slice_of(what, sizeof(what)), cipher->key);
    if (rc < 0) {
        journal_cipher_destroy(cipher);
        return rc;
    }
    *out_cipher = cipher;
    return 0;
}

void journal_cipher_destroy(struct journal_cipher *cipher)
{
    if (!cipher) return;
    EVP_CIPHER_CTX_free(cipher->context);
    OPENSSL_cleanse(cipher, sizeof(*cipher));
    free(cipher);
}

static void make_nonce(uint8_t nonce[NONCE_BYTES], uint32_t block)
{
    memset(nonce, 0, NONCE_BYTES);
    store_u32le(nonce, block);
}

int journal_cipher_seal(struct journal_cipher *cipher, uint32_t block, struct slice beside,
                        struct slice plain, uint8_t *out)
{
    EVP_CIPHER_CTX *context = cipher->context;
    uint8_t nonce[NONCE_BYTES];
    int size;

    make_nonce(nonce, block);
    if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, cipher->key, nonce) != 1 ||
        EVP_EncryptUpdate(context, NULL, &size, beside.bytes, (int)beside.size) != 1 ||
        EVP_EncryptUpdate(context, out, &size, plain.bytes, (int)plain.size) != 1 ||
        EVP_EncryptFinal_ex(context, out + plain.size, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, JOURNAL_TAG_BYTES, out + plain.size) !=
            1) {
        return -ENOMEM; /* nothing else can be wrong with it */
    }
    return 0;
}

int journal_cipher_open(struct journal_cipher *cipher, uint32_t block, struct slice beside,
                        struct slice sealed, uint8_t *out)
{
    EVP_CIPHER_CTX *context = cipher->context;
    uint8_t nonce[NONCE_BYTES], tag[JOURNAL_TAG_BYTES];
    size_t plain_size = sealed.size - JOURNAL_TAG_BYTES;
    int size;

    if (sealed.size < JOURNAL_TAG_BYTES) return -EBADMSG;
    memcpy(tag, sealed.bytes + plain_size, sizeof(tag));
    make_nonce(nonce, block);
    if (EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, cipher->key, nonce) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, JOURNAL_TAG_BYTES, tag) != 1) {
        return -ENOMEM;
    }
    if (EVP_DecryptUpdate(context, NULL, &size, beside.bytes, (int)beside.size) != 1 ||
        EVP_DecryptUpdate(context, out, &size, sealed.bytes, (int)plain_size) != 1 ||
        EVP_DecryptFinal_ex(context, out + plain_size, &size) != 1) {
        return -EBADMSG;
    }
    return 0;
}
