/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "wire/entity.h"
#include "wire/path.h"
#include "wire/rclone-options.h"
#include "wire/s3-preset.h"
#include "wire/target-config.h"

#define PART_MAX 255 /* of a path */
#define SECRET_NAME_MAX 32
#define HOST_KEY_DIGITS 43 /* SHA-256 in base64 without padding */

/* --- Texts --------------------------------------------------------------------------------------------- */

const char *target_text_complaint(const char *text) {
        assert(text);

        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        return "has a control character in it";
        return NULL;
}

const char *target_host_complaint(const char *text) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";

        assert(text);

        if (text[0] == '-' || text[strspn(text, allowed)] != 0)
                return "is not the name or the address of a host alone";
        return NULL;
}

const char *target_url_complaint(const char *text) {
        const char *rest = startswith(text, "https://") ?: startswith(text, "http://");
        size_t n;

        assert(text);

        if (!rest)
                return "does not begin with https:// or http://";
        n = strcspn(rest, "/");
        if (n == 0)
                return "has no host";
        if (memchr(rest, '@', n))
                return "has a user in it; user and password have fields of their own";
        if (text[strcspn(text, "?#")] != 0)
                return "has a '?' or a '#' in it";
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p <= ' ' || *p == 127)
                        return "has a space or a control character in it";
        return NULL;
}

const char *target_path_complaint(const char *text) {
        const char *p;

        assert(text);

        for (p = text[0] == '/' ? text + 1 : text; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 0 || n > PART_MAX || strncmp(p, "..", MAX(n, (size_t) 1)) == 0)
                        return "has an empty part, a '.', a '..' or one that is too long";
                p += n;
                p += *p == '/';
        }
        return target_text_complaint(text);
}

static const char *host_key_complaint(const char *text) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *hash = startswith(text, "SHA256:");

        if (!hash || strlen(hash) != HOST_KEY_DIGITS || hash[strspn(hash, digits)] != 0)
                return "is not a fingerprint as ssh-keygen -l prints it: SHA256: and 43 characters";
        return NULL;
}

static const char *socket_complaint(const char *text) {
        return path_is_normalized_absolute(text) ? target_text_complaint(text) :
                                                   "is not the absolute path of a socket";
}

/* Of a service that speaks S3: letters, digits and some more. */
static const char *region_complaint(const char *text) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

        return text[strspn(text, allowed)] == 0 ? NULL : "is not the name of a region or an account";
}

static const char *preset_complaint(const char *text) {
        return s3_preset_find(text) ? NULL : "is not a service that is known; docs/targets.md lists them";
}

static const char *bucket_complaint(const char *text) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

        return text[0] != '.' && text[strspn(text, allowed)] == 0 ? NULL : "is not the name of a bucket";
}

static const char *account_complaint(const char *text) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

        return text[strspn(text, allowed)] == 0 ? NULL : "is not the name of a storage account";
}

static const char *container_complaint(const char *text) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-$";

        return text[strspn(text, allowed)] == 0 ? NULL : "is not the name of a container";
}

static const char *access_key_complaint(const char *text) {
        return strpbrk(text, "/, ") ? "is not an access key" : target_text_complaint(text);
}

static const char *endpoint_complaint(const char *text) {
        const char *wrong = target_url_complaint(text), *path;

        if (wrong)
                return wrong;
        path = strchr(text + STRLEN("https://"), '/');
        return path && path[1] != 0 ? "has a path behind its host; the bucket has a field of its own" : NULL;
}

static const char *prefix_complaint(const char *text) {
        return text[0] == '/' ? "begins with a '/'" : target_path_complaint(text);
}

static const char *pin_complaint(const char *text) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *hash = startswith(text, "sha256//");

        if (!hash || strspn(hash, digits) != HOST_KEY_DIGITS || !streq(hash + HOST_KEY_DIGITS, "="))
                return "is not the pin of a public key: sha256// and 44 characters";
        return NULL;
}

static const char *file_complaint(const char *text) {
        return path_is_normalized_absolute(text) ? target_text_complaint(text) :
                                                   "is not the absolute path of a file of the node";
}

static const char *class_complaint(const char *text) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

        return text[strspn(text, allowed)] == 0 ? NULL : "is not the name of a storage class";
}

/* --- The types ----------------------------------------------------------------------------------------- */

static int check_azure(JsonReader *target, const json_t *config, const json_t *secrets) {
        bool has_key = json_object_get(secrets, "account_key"),
             has_token = json_object_get(secrets, "sas_token");
        const char *endpoint = json_string_value(json_object_get(config, "endpoint"));

        if (secrets && has_key == has_token)
                return json_reader_fail(target, "secrets",
                                        "needs an account_key or a sas_token, one of them");
        /* A key signs what goes over the line; a token is what goes over it. */
        if (has_token && startswith(strempty(endpoint), "http://"))
                return json_reader_fail(target, "config.endpoint",
                                        "begins with http://, where a token could be read on the way");
        return 0;
}

static int check_ftp(JsonReader *target, const json_t *config, const json_t *secrets) {
        const char *password = json_string_value(json_object_get(secrets, "password"));
        bool is_plain = streq_ptr(json_string_value(json_object_get(config, "tls")), "none");

        if (is_plain && (json_object_get(config, "pin") || json_object_get(config, "ca_cert")))
                return json_reader_fail(target, "config.tls",
                                        "is none: no certificate is looked at, and there is nothing to pin");
        /* It would end the line of the protocol. */
        if (password && strpbrk(password, "\r\n"))
                return json_reader_fail(target, "secrets", "has a line end in the password");
        return 0;
}

static int check_sftp(JsonReader *target, const json_t *config, const json_t *secrets) {
        if (!secrets || json_object_get(config, "agent") || json_object_get(secrets, "password") ||
            json_object_get(secrets, "private_key"))
                return 0;
        return json_reader_fail(target, "secrets", "needs a password or a private_key, or config an agent");
}

/* What a service does not imply has to be given, and what belongs together comes together. */
static int check_s3(JsonReader *target, const json_t *config, const json_t *secrets) {
        const char *name = json_string_value(json_object_get(config, "preset"));
        const char *sse = json_string_value(json_object_get(config, "sse"));
        const S3Preset *preset = s3_preset_find(name);
        bool has_endpoint = json_object_get(config, "endpoint") != NULL;

        assert(preset); /* the field was read */

        if (!preset->endpoint && !has_endpoint)
                return json_reader_fail(target, "config.endpoint", "is missing: this service is anywhere");
        if (!preset->region && !json_object_get(config, "region"))
                return json_reader_fail(target, "config.region", "is missing");
        if (!has_endpoint && strstr(preset->endpoint, "{account}") && !json_object_get(config, "account"))
                return json_reader_fail(target, "config.account", "is missing");
        if (!json_object_get(config, "lock_mode") != !json_object_get(config, "lock_days"))
                return json_reader_fail(target, "config.lock_days", "and config.lock_mode go together");
        if (json_object_get(config, "sse_key_id") && !streq_ptr(sse, "aws:kms"))
                return json_reader_fail(target, "config.sse_key_id", "goes with sse = aws:kms");
        return 0;
}

static int check_rclone(JsonReader *target, const json_t *config, const json_t *secrets) {
        const char *type = json_string_value(json_object_get(target->object, "type")), *path;

        (void) secrets;
        path = json_string_value(json_object_get(config, "path"));
        if (streq_ptr(type, RCLONE_TYPE_PREFIX "local") && (!path || !path_is_normalized_absolute(path)))
                return json_reader_fail(target, "config.path", "is not an absolute path of the node");
        return 0;
}

static int check_webdav(JsonReader *target, const json_t *config, const json_t *secrets) {
        bool has_password = json_object_get(secrets, "password");

        if (has_password && json_object_get(secrets, "token"))
                return json_reader_fail(target, "secrets", "has a password and a token: one of them counts");
        if (has_password && !json_object_get(config, "user"))
                return json_reader_fail(target, "config", "needs a user for the password");
        if (secrets && !has_password && json_object_get(config, "user"))
                return json_reader_fail(target, "secrets", "needs the password of the user");
        return 0;
}

/* So that a field is a line. */
#define AT TARGET_ADDRESS
#define AT_LATE TARGET_ADDRESS_LATE

static const char *const azure_tiers[] = { "Hot", "Cool", "Cold", NULL };

static const TargetField azure_fields[] = {
        { "account", TARGET_TEXT, JSON_REQUIRED, AT, .max = 64, .complaint = account_complaint },
        { "container", TARGET_TEXT, JSON_REQUIRED, .max = 63, .complaint = container_complaint },
        { "prefix", TARGET_TEXT, JSON_OPTIONAL, .max = 512, .complaint = prefix_complaint },
        { "endpoint", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 255, .complaint = target_url_complaint },
        { "block_size", TARGET_NUMBER, JSON_OPTIONAL, .min = 4, .max = 32 },
        { "volume_size", TARGET_NUMBER, JSON_OPTIONAL, .min = TARGET_VOLUME_MIN, .max = TARGET_VOLUME_MAX },
        { "tier", TARGET_TEXT, JSON_OPTIONAL, .max = 16, .choices = azure_tiers },
        { "ca_cert", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 1024, .complaint = file_complaint },
        { "proxy", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 255, .complaint = target_url_complaint },
        {},
};
static const TargetSecret azure_secrets[] = {
        { "account_key", JSON_OPTIONAL },
        { "sas_token", JSON_OPTIONAL },
        {},
};

static const char *const ftp_tls[] = { "explicit", "implicit", "none", NULL };

static const TargetField ftp_fields[] = {
        { "host", TARGET_TEXT, JSON_REQUIRED, AT, .max = 255, .complaint = target_host_complaint },
        { "port", TARGET_NUMBER, JSON_OPTIONAL, AT, .min = 1, .max = 65535 },
        { "user", TARGET_TEXT, JSON_REQUIRED, .max = 255, .complaint = target_text_complaint },
        { "path", TARGET_TEXT, JSON_REQUIRED, .max = 1024, .complaint = target_path_complaint },
        { "tls", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 16, .choices = ftp_tls },
        { "ca_cert", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 1024, .complaint = file_complaint },
        { "pin", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 64, .complaint = pin_complaint },
        { "read_back", TARGET_SWITCH, JSON_OPTIONAL },
        {},
};
static const TargetSecret ftp_secrets[] = {
        { "password", JSON_REQUIRED },
        {},
};

static const TargetField local_fields[] = {
        { "path", TARGET_DIRECTORY, JSON_REQUIRED },
        {},
};

static const TargetField relay_fields[] = {
        { "directory", TARGET_DIRECTORY, JSON_OPTIONAL },
        {},
};

static const TargetField sftp_fields[] = {
        { "host", TARGET_TEXT, JSON_REQUIRED, AT, .max = 255, .complaint = target_host_complaint },
        { "port", TARGET_NUMBER, JSON_OPTIONAL, AT, .min = 1, .max = 65535 },
        { "user", TARGET_TEXT, JSON_REQUIRED, .max = 255, .complaint = target_text_complaint },
        { "path", TARGET_TEXT, JSON_REQUIRED, .max = 1024, .complaint = target_path_complaint },
        { "host_key", TARGET_TEXT, JSON_OPTIONAL, AT_LATE, .max = 64, .complaint = host_key_complaint },
        { "agent", TARGET_TEXT, JSON_OPTIONAL, .max = 107, .complaint = socket_complaint },
        { "read_back", TARGET_SWITCH, JSON_OPTIONAL },
        {},
};
static const TargetSecret sftp_secrets[] = {
        { "password", JSON_OPTIONAL },
        { "private_key", JSON_OPTIONAL },
        { "passphrase", JSON_OPTIONAL },
        {},
};

static const char *const s3_encryptions[] = { "AES256", "aws:kms", NULL };
static const char *const s3_lock_modes[] = { "GOVERNANCE", "COMPLIANCE", NULL };
static const char *const s3_signings[] = { "header", "trailer", NULL };

static const TargetField s3_fields[] = {
        { "preset", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 16, .complaint = preset_complaint },
        { "endpoint", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 255, .complaint = endpoint_complaint },
        { "region", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 64, .complaint = region_complaint },
        { "account", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 64, .complaint = region_complaint },
        { "bucket", TARGET_TEXT, JSON_REQUIRED, .max = 255, .complaint = bucket_complaint },
        { "prefix", TARGET_TEXT, JSON_OPTIONAL, .max = 512, .complaint = prefix_complaint },
        { "access_key", TARGET_TEXT, JSON_REQUIRED, .max = 255, .complaint = access_key_complaint },
        { "path_style", TARGET_SWITCH, JSON_OPTIONAL },
        { "part_size", TARGET_NUMBER, JSON_OPTIONAL, .min = 5, .max = 32 },
        { "volume_size", TARGET_NUMBER, JSON_OPTIONAL, .min = TARGET_VOLUME_MIN, .max = TARGET_VOLUME_MAX },
        { "signing", TARGET_TEXT, JSON_OPTIONAL, .max = 16, .choices = s3_signings },
        { "storage_class", TARGET_TEXT, JSON_OPTIONAL, .max = 64, .complaint = class_complaint },
        { "sse", TARGET_TEXT, JSON_OPTIONAL, .max = 16, .choices = s3_encryptions },
        { "sse_key_id", TARGET_TEXT, JSON_OPTIONAL, .max = 512, .complaint = target_text_complaint },
        { "lock_mode", TARGET_TEXT, JSON_OPTIONAL, .max = 16, .choices = s3_lock_modes },
        { "lock_days", TARGET_NUMBER, JSON_OPTIONAL, .min = 1, .max = 36500 },
        { "ca_cert", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 1024, .complaint = file_complaint },
        { "proxy", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 255, .complaint = target_url_complaint },
        {},
};
static const TargetSecret s3_secrets[] = {
        { "secret_key", JSON_REQUIRED },
        { "session_token", JSON_OPTIONAL },
        { "sse_customer_key", JSON_OPTIONAL },
        {},
};

static const TargetField webdav_fields[] = {
        { "url", TARGET_TEXT, JSON_REQUIRED, AT, .max = 2048, .complaint = target_url_complaint },
        { "user", TARGET_TEXT, JSON_OPTIONAL, .max = 255, .complaint = target_text_complaint },
        { "ca_cert", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 1024, .complaint = file_complaint },
        { "pin", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 64, .complaint = pin_complaint },
        { "proxy", TARGET_TEXT, JSON_OPTIONAL, AT, .max = 2048, .complaint = target_text_complaint },
        { "read_back", TARGET_SWITCH, JSON_OPTIONAL },
        {},
};
static const TargetSecret webdav_secrets[] = {
        { "password", JSON_OPTIONAL },
        { "token", JSON_OPTIONAL },
        {},
};

/* The rest is the backend's. */
static const TargetField rclone_fields[] = {
        { "path", TARGET_TEXT, JSON_OPTIONAL, .max = 1024, .complaint = rclone_path_complaint },
        { "read_back", TARGET_SWITCH, JSON_OPTIONAL },
        {},
};

static const char *rclone_further(const char *name, const char *value) {
        return rclone_name_complaint(name) ?: rclone_value_complaint(name, value);
}

static const TargetType types[] = {
        { "azure", azure_fields, azure_secrets, check_azure },
        { "ftp", ftp_fields, ftp_secrets, check_ftp },
        { "local", local_fields, NULL, NULL },
        { "relay", relay_fields, NULL, NULL },
        { "s3", s3_fields, s3_secrets, check_s3 },
        { "sftp", sftp_fields, sftp_secrets, check_sftp },
        { "webdav", webdav_fields, webdav_secrets, check_webdav },
};

static const TargetType rclone_type = {
        .name = RCLONE_TYPE_PREFIX,
        .fields = rclone_fields,
        .check = check_rclone,
        .further = rclone_further,
        .secret_name = rclone_name_complaint,
};

const TargetType *target_type_find(const char *name) {
        if (rclone_type_backend(name))
                return &rclone_type;
        for (size_t i = 0; name && i < ELEMENTSOF(types); i++)
                if (streq(types[i].name, name))
                        return types + i;
        return NULL;
}

/* --- Fields -------------------------------------------------------------------------------------------- */

static int read_text(JsonReader *reader, const TargetField *field, json_t **ret) {
        const char *text = NULL, *wrong;
        int r;

        r = json_reader_string(reader, field->name, field->presence, field->max, &text);
        if (r <= 0)
                return r;
        if (isempty(text))
                return json_reader_fail(reader, field->name, "is empty");
        wrong = field->complaint ? field->complaint(text) : NULL;
        if (wrong)
                return json_reader_fail(reader, field->name, "%s", wrong);
        if (field->choices && !strv_contains((char *const *) field->choices, text))
                return json_reader_fail(reader, field->name, "has the value '%s', which is not known", text);
        *ret = json_string(text);
        return *ret ? 1 : -ENOMEM;
}

static int read_number(JsonReader *reader, const TargetField *field, json_t **ret) {
        const json_t *value = NULL;
        uint64_t number = 0;
        bool is_one;
        int r;

        r = json_reader_value(reader, field->name, field->presence, &value);
        if (r <= 0)
                return r;
        if (json_is_string(value))
                is_one = parse_u64(json_string_value(value), field->min, field->max, &number) >= 0;
        else {
                number = (uint64_t) json_integer_value(value);
                is_one = json_is_integer(value) && json_integer_value(value) >= 0 && number >= field->min &&
                                number <= field->max;
        }
        if (!is_one)
                return json_reader_fail(reader, field->name, "is not a whole number from %llu to %llu",
                                        (unsigned long long) field->min, (unsigned long long) field->max);
        *ret = json_from_u64(number);
        return *ret ? 1 : -ENOMEM;
}

static int read_switch(JsonReader *reader, const TargetField *field, json_t **ret) {
        const json_t *value = NULL;
        bool on = false;
        int r;

        r = json_reader_value(reader, field->name, field->presence, &value);
        if (r <= 0)
                return r;
        if (json_is_boolean(value))
                on = json_is_true(value);
        else if (!json_is_string(value) || parse_boolean(json_string_value(value), &on) < 0)
                return json_reader_fail(reader, field->name, "is not true or false");
        *ret = json_boolean(on);
        return 1;
}

static int read_directory(JsonReader *reader, const TargetField *field, json_t **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = json_reader_path(reader, field->name, field->presence, &path);
        if (r <= 0)
                return r;
        if (!path_is_normalized_absolute(path) || streq(path, "/"))
                return json_reader_fail(reader, field->name,
                                        "is not an absolute path of a directory without '.' and '..'");
        *ret = json_from_path(path);
        return *ret ? 1 : -ENOMEM;
}

static int read_field(JsonReader *reader, const TargetField *field, json_t **ret) {
        assert(field);

        switch (field->kind) {
        case TARGET_TEXT:
                return read_text(reader, field, ret);
        case TARGET_NUMBER:
                return read_number(reader, field, ret);
        case TARGET_SWITCH:
                return read_switch(reader, field, ret);
        case TARGET_DIRECTORY:
                return read_directory(reader, field, ret);
        }
        return -EINVAL;
}

static bool is_field(const TargetType *type, const char *name) {
        for (const TargetField *f = type->fields; f->name; f++)
                if (streq(f->name, name))
                        return true;
        return false;
}

/* A scalar as a text. */
static int value_text(const json_t *value, char **ret) {
        if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
                return free_and_strdup(ret, json_string_value(value));
        if (json_is_boolean(value))
                return free_and_strdup(ret, json_is_true(value) ? "true" : "false");
        if (json_is_integer(value))
                return asprintf_safe(ret, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return -EINVAL;
}

static int read_further(const TargetType *type, JsonReader *config, json_t *out) {
        const char *name;
        json_t *value;

        /* What is beyond is not known to anybody; finishing says so. */
        json_object_foreach((json_t *) config->object, name, value) {
                _cleanup_(freep) char *text = NULL;
                const json_t *seen = NULL;
                const char *wrong;
                int r;

                if (is_field(type, name) || json_object_size(out) >= RCLONE_GIVEN_MAX)
                        continue;
                r = json_reader_value(config, name, JSON_OPTIONAL, &seen);
                if (r <= 0)
                        continue;
                r = value_text(value, &text);
                if (r == -ENOMEM)
                        return r;
                wrong = r < 0 || strlen(text) > RCLONE_VALUE_MAX ?
                                "is not a text of at most 4096 bytes, a whole number or a switch" :
                                type->further(name, text);
                if (wrong)
                        return json_reader_fail(config, name, "%s", wrong);
                r = json_set(out, name, json_string(text));
                if (r < 0)
                        return r;
        }
        return 0;
}

int target_config_read(const TargetType *type, JsonReader *config, json_t **ret) {
        _cleanup_json_ json_t *out = json_object();
        int r;

        assert(type);
        assert(ret);

        if (!out)
                return -ENOMEM;
        for (const TargetField *f = type->fields; f->name; f++) {
                json_t *value = NULL;

                r = read_field(config, f, &value);
                if (r > 0)
                        r = json_set(out, f->name, value);
                if (r < 0 && r != -EBADMSG)
                        return r;
        }
        r = type->further ? read_further(type, config, out) : 0;
        if (r < 0 && r != -EBADMSG)
                return r;
        r = json_reader_finish(config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(out);
        return 0;
}

/* --- Addresses ----------------------------------------------------------------------------------------- */

static bool is_moved(TargetAddress address, const json_t *before, const json_t *after) {
        switch (address) {
        case TARGET_NO_ADDRESS:
                return false;
        case TARGET_ADDRESS:
                break;
        case TARGET_ADDRESS_LATE:
                if (!before)
                        return false;
                break;
        }
        return before != after && (!before || !after || !json_equal(before, after));
}

/* A further member of one that the other has not, or not the same. */
static const char *moved_further(const TargetType *type, const json_t *one, const json_t *other) {
        const char *name;
        json_t *value;

        json_object_foreach((json_t *) one, name, value) {
                if (!is_field(type, name) && is_moved(TARGET_ADDRESS, value, json_object_get(other, name)))
                        return name;
        }
        return NULL;
}

const char *target_config_moved(const TargetType *type, const json_t *before, const json_t *after) {
        assert(type);

        for (const TargetField *f = type->fields; f->name; f++)
                if (is_moved(f->address, json_object_get(before, f->name), json_object_get(after, f->name)))
                        return f->name;
        return moved_further(type, before, after) ?: moved_further(type, after, before);
}

bool target_type_uses_secrets(const TargetType *type) {
        assert(type);

        return type->secrets || type->secret_name;
}

/* --- Secrets ------------------------------------------------------------------------------------------- */

static bool secret_is_known(const TargetType *type, const char *name) {
        size_t n = strlen(name);

        for (const TargetSecret *s = type->secrets; s && s->name; s++)
                if (streq(s->name, name))
                        return true;
        if (type->secret_name)
                return !type->secret_name(name);
        return !type->secrets && n > 0 && n <= SECRET_NAME_MAX &&
                        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

int target_secrets_check(const TargetType *type, JsonReader *target, const json_t *secrets, bool is_new) {
        const char *name;
        json_t *value;

        assert(type);

        if (secrets && !json_is_object(secrets))
                return json_reader_fail(target, "secrets", "has to be an object");
        if (json_object_size(secrets) > TARGET_SECRETS_MAX)
                return json_reader_fail(target, "secrets", "has more than %d members", TARGET_SECRETS_MAX);
        json_object_foreach((json_t *) secrets, name, value) {
                if (!secret_is_known(type, name))
                        return json_reader_fail(target, "secrets",
                                                "has a member '%s' that a target of type %s does not take",
                                                name, type->name);
                if (!json_is_string(value) || json_string_length(value) > TARGET_SECRET_MAX ||
                    strlen(json_string_value(value)) != json_string_length(value))
                        return json_reader_fail(target, "secrets",
                                                "has a member '%s' that is not a text of at most %u bytes",
                                                name, TARGET_SECRET_MAX);
        }
        for (const TargetSecret *s = type->secrets; s && s->name; s++)
                if (s->presence == JSON_REQUIRED && (secrets || is_new) &&
                    !json_object_get(secrets, s->name))
                        return json_reader_fail(target, "secrets", "needs a member '%s'", s->name);
        return 0;
}
