/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/age.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/session.h"
#include "crypto/token.h"
#include "sys/creds.h"
#include "wire/names.h"

#include "services/keys/keys.h"
#include "services/keys/leftovers.h"

#define SMALL_FILE_MAX 4096
#define AGENT_CONFIG \
        "# The agent of the master itself, node 'local'. Its token is in the file token beside this one.\n" \
        "master: http://127.0.0.1:8340\n"

static Creds creds_of(const KeysConfig *config) {
        return (Creds){
                .folder = config->plain ? config->plain : config->credstore,
                .prefix = config->plain ? "" : "backupx.",
                .encrypted = !config->plain,
        };
}

/* Replaces a file of the state directory where its content differs; 1: it did. A line end is added. */
static int publish(const KeysConfig *config, const char *name, const char *text, Failure *failure) {
        _cleanup_(freep) char *path = NULL, *line = NULL, *old = NULL;
        int r;

        assert(config);

        r = asprintf_safe(&path, "%s/%s", config->state, name);
        if (r >= 0)
                r = asprintf_safe(&line, "%s\n", text);
        if (r < 0)
                return r;
        if (read_file(AT_FDCWD, path, SMALL_FILE_MAX, &old, NULL) >= 0 && streq(old, line))
                return 0;
        r = write_file_atomic(AT_FDCWD, path, line, strlen(line), 0644);
        if (r < 0)
                return failure_set(failure, r, "STATE_UNWRITABLE", "Cannot write %s: %m", path);
        return 1;
}

static int make_identity(const Creds *creds, Failure *failure) {
        AgeIdentity identity;
        CLEANUP_ERASE(identity);
        char text[AGE_IDENTITY_TEXT_SIZE];
        CLEANUP_ERASE(text);
        int r;

        r = age_identity_generate(&identity);
        if (r < 0)
                return failure_set(failure, r, "RANDOM_FAILED", "Cannot make a key: %m");
        return creds_write(creds, CREDENTIAL_DISPATCHER, age_identity_format(&identity, text), failure);
}

/* The dispatcher's identity, and its public key where all may read it. */
static int make_dispatcher(const KeysConfig *config, Failure *failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        char public[AGE_RECIPIENT_TEXT_SIZE];
        Creds creds = creds_of(config);
        AgeIdentity identity;
        CLEANUP_ERASE(identity);
        AgeRecipient recipient;
        int r, made = 0;

        r = creds_exist(&creds, CREDENTIAL_DISPATCHER, failure);
        if (r < 0)
                return r;
        if (r == 0) {
                r = make_identity(&creds, failure);
                if (r < 0)
                        return r;
                made = 1;
        }
        r = creds_read(&creds, CREDENTIAL_DISPATCHER, &text, failure);
        if (r < 0)
                return r;
        r = age_identity_parse(text, &identity);
        if (r >= 0)
                r = age_identity_recipient(&identity, &recipient);
        if (r < 0)
                return failure_set(failure, r, "CREDENTIAL_INVALID",
                                   "The credential %s in %s is not an age identity: %m",
                                   CREDENTIAL_DISPATCHER, creds.folder);
        r = publish(config, FILE_DISPATCHER_KEY, age_recipient_format(&recipient, public), failure);
        return r < 0 ? r : r | made;
}

static int make_session_key(const KeysConfig *config, Failure *failure) {
        uint8_t key[SESSION_KEY_SIZE];
        CLEANUP_ERASE(key);
        char text[2 * SESSION_KEY_SIZE + 1];
        CLEANUP_ERASE(text);
        Creds creds = creds_of(config);
        int r;

        r = creds_exist(&creds, CREDENTIAL_SESSION, failure);
        if (r != 0)
                return r < 0 ? r : 0;
        r = random_bytes(key, sizeof(key));
        if (r < 0)
                return failure_set(failure, r, "RANDOM_FAILED", "Cannot make a key: %m");
        r = creds_write(&creds, CREDENTIAL_SESSION, hex_encode(key, sizeof(key), text), failure);
        return r < 0 ? r : 1;
}

/* The API makes the certificate itself: it lives longer than this program, and knows what it listens on. */
static int make_tls_key(const KeysConfig *config, Failure *failure) {
        _cleanup_(erase_and_freep) char *key = NULL;
        Creds creds = creds_of(config);
        int r;

        r = creds_exist(&creds, CREDENTIAL_TLS_KEY, failure);
        if (r != 0)
                return r < 0 ? r : 0;
        r = certificate_key_new(&key);
        if (r < 0)
                return failure_set(failure, r, "RANDOM_FAILED", "Cannot make a key: %m");
        r = creds_write(&creds, CREDENTIAL_TLS_KEY, key, failure);
        return r < 0 ? r : 1;
}

static int read_token(const char *path, char **ret, Failure *failure) {
        _cleanup_(erase_and_freep) char *token = NULL;
        int r;

        r = read_file(AT_FDCWD, path, SMALL_FILE_MAX, &token, NULL);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return failure_set(failure, r, "TOKEN_UNREADABLE", "Cannot read the agent's token %s: %m",
                                   path);
        token[strcspn(token, "\r\n")] = 0;
        if (!token_is_valid(token, TOKEN_NODE))
                return failure_set(
                                failure, -EUCLEAN, "TOKEN_INVALID",
                                "%s does not hold a node token (bxn_…). Remove the file to have a new one "
                                "made",
                                path);
        *ret = TAKE_PTR(token);
        return 0;
}

/* The token of node 'local', and its hash for the API. A token that an administrator put there, for another
 * master, is left as it is; the hash that is published with it opens nothing on that one. */
static int make_token(const KeysConfig *config, Failure *failure) {
        _cleanup_(erase_and_freep) char *token = NULL, *line = NULL;
        char hash[SHA256_HEX_SIZE];
        int r, made = 0;

        assert(config);

        r = read_token(config->agent_token, &token, failure);
        if (r == -ENOENT) {
                r = token_new(TOKEN_NODE, &token);
                if (r < 0)
                        return failure_set(failure, r, "RANDOM_FAILED", "Cannot make a token: %m");
                r = asprintf_safe(&line, "%s\n", token);
                if (r < 0)
                        return r;
                r = write_file_atomic(AT_FDCWD, config->agent_token, line, strlen(line), 0600);
                if (r < 0)
                        return failure_set(failure, r, "TOKEN_UNWRITABLE",
                                           "Cannot write the agent's token %s: %m", config->agent_token);
                made = 1;
        }
        if (r < 0)
                return r;
        r = sha256_hex(token, strlen(token), hash);
        if (r < 0)
                return r;
        r = publish(config, FILE_LOCAL_NODE, hash, failure);
        return r < 0 ? r : r | made;
}

static int make_agent_config(const KeysConfig *config, Failure *failure) {
        int r;

        assert(config);

        if (!config->agent_config || access(config->agent_config, F_OK) == 0)
                return 0;
        r = write_file_atomic(AT_FDCWD, config->agent_config, AGENT_CONFIG, STRLEN(AGENT_CONFIG), 0644);
        if (r < 0)
                return failure_set(failure, r, "CONFIG_UNWRITABLE", "Cannot write %s: %m",
                                   config->agent_config);
        return 1;
}

static int remove_leftovers(const KeysConfig *config) {
        const char *const credentials[] = { CREDENTIAL_DISPATCHER, CREDENTIAL_SESSION, CREDENTIAL_TLS_KEY };
        const char *const published[] = { FILE_DISPATCHER_KEY, FILE_LOCAL_NODE };
        const Creds creds = creds_of(config);
        int r;

        leftovers_remove(config->agent_token);
        if (config->agent_config)
                leftovers_remove(config->agent_config);
        for (size_t i = 0; i < ELEMENTSOF(credentials); i++) {
                _cleanup_(freep) char *path = NULL;

                r = asprintf_safe(&path, "%s/%s%s", creds.folder, creds.prefix, credentials[i]);
                if (r < 0)
                        return r;
                leftovers_remove(path);
        }
        for (size_t i = 0; i < ELEMENTSOF(published); i++) {
                _cleanup_(freep) char *path = NULL;

                r = asprintf_safe(&path, "%s/%s", config->state, published[i]);
                if (r < 0)
                        return r;
                leftovers_remove(path);
        }
        return 0;
}

int keys_make(const KeysConfig *config, Failure *reterr_failure) {
        int r, made = 0;

        assert(config);
        assert(config->state);
        assert(config->agent_token);

        r = mkdir_p(config->state, 0770);
        if (r < 0)
                return failure_set(reterr_failure, r, "STATE_UNWRITABLE", "Cannot make folder %s: %m",
                                   config->state);
        r = remove_leftovers(config);
        if (r < 0)
                return r;
        r = make_dispatcher(config, reterr_failure);
        if (r < 0)
                return r;
        made |= r;
        r = make_session_key(config, reterr_failure);
        if (r < 0)
                return r;
        made |= r;
        r = make_tls_key(config, reterr_failure);
        if (r < 0)
                return r;
        made |= r;
        r = make_token(config, reterr_failure);
        if (r < 0)
                return r;
        made |= r;
        r = make_agent_config(config, reterr_failure);
        return r < 0 ? r : made | r;
}
