/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "repository/config.h"
#include "wire/json.h"

#define TEXT_MAX 64
#define CHUNKER_KEY "backupx_chunker"

/* Up to 16 digits. */
static int parse_polynomial(const char *s, uint64_t *ret) {
        uint8_t bytes[sizeof(uint64_t)];
        char digits[2 * sizeof(bytes) + 1] = "0000000000000000";
        size_t n = strlen(s);
        uint64_t v = 0;

        if (n == 0 || n > STRLEN("0000000000000000"))
                return -EINVAL;
        memcpy(digits + sizeof(digits) - 1 - n, s, n);
        if (hex_decode(digits, bytes, sizeof(bytes)) < 0)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(bytes); i++)
                v = v << 8 | bytes[i];
        *ret = v;
        return 0;
}

static int read_fields(const json_t *json, RepoConfig *ret, const char **ret_chunker, Failure *why) {
        const char *id = NULL, *polynomial = NULL;
        JsonReader r;

        assert(ret);

        (void) json_reader_init(&r, json, why);
        (void) json_reader_u32(&r, "version", JSON_REQUIRED, UINT32_MAX, &ret->version);
        if (json_reader_string(&r, "id", JSON_REQUIRED, TEXT_MAX, &id) > 0 &&
            id_from_hex(id, strlen(id), &ret->id) < 0)
                (void) json_reader_fail(&r, "id", "has to be %d hexadecimal digits", (int) ID_HEX_LENGTH);
        if (json_reader_string(&r, "chunker_polynomial", JSON_REQUIRED, TEXT_MAX, &polynomial) > 0 &&
            parse_polynomial(polynomial, &ret->chunker_polynomial) < 0)
                (void) json_reader_fail(&r, "chunker_polynomial", "has to be up to 16 hexadecimal digits");
        (void) json_reader_string(&r, CHUNKER_KEY, JSON_OPTIONAL, TEXT_MAX, ret_chunker);
        return json_reader_finish_lenient(&r);
}

int repo_config_parse(const void *data, size_t n, RepoConfig *ret, Failure *reterr_failure) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        const char *chunker = NULL;
        RepoConfig c = {};
        int r;

        assert(ret);

        r = n > REPO_CONFIG_SIZE_MAX ? -EBADMSG : json_parse_strict(data, n, 4, &json, &why);
        if (r >= 0)
                r = read_fields(json, &c, &chunker, &why);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "REPOSITORY_CONFIG_INVALID",
                                   "The configuration of the repository is damaged: %s",
                                   failure_message(&why, r));
        if (r < 0)
                return r;
        if (c.version < REPO_VERSION_MIN || c.version > REPO_VERSION_MAX)
                return failure_set(reterr_failure, -EPROTONOSUPPORT, "REPOSITORY_UNSUPPORTED",
                                   "The repository has version %" PRIu32
                                   " of the format; versions %d and %d can be read: update BackupX",
                                   c.version, REPO_VERSION_MIN, REPO_VERSION_MAX);
        if (chunker)
                c.chunker = chunker_kind_from_string(chunker);
        if ((int) c.chunker < 0)
                return failure_set(reterr_failure, -EPROTONOSUPPORT, "REPOSITORY_UNSUPPORTED",
                                   "The repository was made with a chunker that is not known here: update "
                                   "BackupX");
        *ret = c;
        return 0;
}

int repo_config_format(const RepoConfig *c, char **ret, size_t *ret_size) {
        char id[ID_HEX_SIZE];
        int n;

        assert(c);
        assert(ret);
        assert(ret_size);

        n = asprintf_safe(ret,
                          "{\"version\":%" PRIu32 ",\"id\":\"%s\",\"chunker_polynomial\":\"%" PRIx64
                          "\"%s%s%s}",
                          c->version, id_to_hex(&c->id, id), c->chunker_polynomial,
                          c->chunker == CHUNKER_RABIN ? "" : ",\"" CHUNKER_KEY "\":\"",
                          c->chunker == CHUNKER_RABIN ? "" : chunker_kind_to_string(c->chunker),
                          c->chunker == CHUNKER_RABIN ? "" : "\"");
        if (n < 0)
                return n;
        *ret_size = strlen(*ret);
        return 0;
}
