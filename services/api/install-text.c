/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"

#include "services/api/install-script.h"
#include "services/api/install-text.h"

/* A deflate block that is not compressed holds at most this. */
#define STORED_MAX 65535U

static const char *const install_mode_table[_INSTALL_MODE_MAX] = {
        [INSTALL_SYSTEMD] = "systemd",
        [INSTALL_DOCKER] = "docker",
        [INSTALL_FOREGROUND] = "foreground",
};

DEFINE_STRING_TABLE(install_mode, InstallMode);

static const char *const install_arch_table[_INSTALL_ARCH_MAX] = {
        [INSTALL_AMD64] = "amd64",
        [INSTALL_ARM64] = "arm64",
        [INSTALL_AUTO] = "auto",
};

DEFINE_STRING_TABLE(install_arch, InstallArch);

static const char *const install_source_table[_INSTALL_SOURCE_MAX] = {
        [INSTALL_FROM_MASTER] = "master",
        [INSTALL_FROM_GITHUB] = "github",
        [INSTALL_FROM_GHPROXY] = "ghproxy",
};

DEFINE_STRING_TABLE(install_source, InstallSource);

int install_package_url(const char *base, const char *version, InstallArch arch, char **ret) {
        assert(base);
        assert(version);
        assert(arch < INSTALL_ARCHS);
        assert(ret);

        return asprintf_safe(ret, "%s/backupx-agent-%s-linux-%s.tar.gz", base, version,
                             install_arch_to_string(arch));
}

/* --- Values ------------------------------------------------------------------------------------------- */

int install_quote(Buffer *out, const char *text) {
        int r;

        assert(out);
        assert(text);

        r = buffer_add(out, "'", 1);
        for (const char *quote; r >= 0 && (quote = strchr(text, '\'')); text = quote + 1) {
                r = buffer_add(out, text, (size_t) (quote - text));
                if (r >= 0)
                        r = buffer_add_string(out, "'\\''");
        }
        if (r >= 0)
                r = buffer_add_string(out, text);
        return r < 0 ? r : buffer_add(out, "'", 1);
}

static int add_value(Buffer *out, const char *name, const char *text) {
        int r;

        r = buffer_printf(out, "BX_%s=", name);
        if (r >= 0)
                r = install_quote(out, strempty(text));
        return r < 0 ? r : buffer_add(out, "\n", 1);
}

int install_values(const InstallPlan *plan, Buffer *out) {
        assert(plan);
        assert(out);

        const struct {
                const char *name, *text;
        } values[] = {
                { "NODE", plan->node },
                { "MASTER", plan->master },
                { "TOKEN", plan->token },
                { "MODE", install_mode_to_string(plan->mode) },
                { "ARCH", install_arch_to_string(plan->arch) },
                { "VERSION", plan->version },
                { "URL_AMD64", plan->urls[INSTALL_AMD64] },
                { "SHA256_AMD64", plan->checksums[INSTALL_AMD64] },
                { "URL_ARM64", plan->urls[INSTALL_ARM64] },
                { "SHA256_ARM64", plan->checksums[INSTALL_ARM64] },
                { "PIN", plan->pin },
                { "PROXY_URL", plan->proxy_url },
                { "CA_CERT", plan->ca_cert },
                { "SIGNING_KEY", plan->signing_key },
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                int r = add_value(out, values[i].name, values[i].text);

                if (r < 0)
                        return r;
        }
        return 0;
}

int install_add_script(const char *values, Buffer *out) {
        int r;

        assert(values);
        assert(out);

        r = buffer_add_string(out, "#!/bin/sh\n# " INSTALL_MARKER "\n");
        if (r >= 0)
                r = buffer_add_string(out, values);
        return r < 0 ? r : buffer_add(out, install_script, install_script_size);
}

/* --- Commands ----------------------------------------------------------------------------------------- */

static uint32_t crc32_of(const void *p, size_t n) {
        uint32_t crc = UINT32_MAX;

        for (size_t i = 0; i < n; i++) {
                crc ^= ((const uint8_t *) p)[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ ((crc & 1U) * UINT32_C(0xedb88320));
        }
        return ~crc;
}

static int add_le(Buffer *out, uint32_t v, unsigned bytes) {
        const uint8_t le[] = { (uint8_t) v, (uint8_t) (v >> 8), (uint8_t) (v >> 16), (uint8_t) (v >> 24) };

        return buffer_add(out, le, bytes);
}

/* A gzip member (RFC 1952) of stored blocks. */
static int add_gzip_stored(Buffer *out, const char *p, size_t n) {
        static const uint8_t header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
        size_t left = n;
        int r;

        r = buffer_add(out, header, sizeof(header));
        do {
                uint32_t part = (uint32_t) MIN(left, STORED_MAX);

                left -= part;
                if (r >= 0)
                        r = add_le(out, left == 0, 1);
                if (r >= 0)
                        r = add_le(out, part | (~part << 16), 4);
                if (r >= 0)
                        r = buffer_add(out, p + (n - left - part), part);
        } while (left > 0 && r >= 0);
        if (r >= 0)
                r = add_le(out, crc32_of(p, n), 4);
        return r < 0 ? r : add_le(out, (uint32_t) n, 4);
}

/* What both commands do once the script is in $f. The temporary file is the caller's own, mode 0600. */
#define RUN_SCRIPT(damaged) \
        "grep -q " INSTALL_MARKER " \"$f\" || { echo \"backupx: " damaged "\" >&2; exit 1; }; " \
        "if [ \"$(id -u)\" = 0 ]; then sh \"$f\"; else sudo sh \"$f\"; fi"
#define MAKE_FILE "f=$(mktemp) || exit 1; trap \"rm -f $f\" EXIT; trap \"exit 130\" HUP INT TERM; "

int install_command(const char *values, char **ret) {
        _cleanup_buffer_ Buffer head = BUFFER_NULL, packed = BUFFER_NULL;
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        assert(values);
        assert(ret);

        r = buffer_add_string(&head, "#!/bin/sh\n# " INSTALL_MARKER "\n");
        if (r >= 0)
                r = buffer_add_string(&head, values);
        if (r >= 0)
                r = add_gzip_stored(&packed, head.data, head.size);
        if (r >= 0)
                r = buffer_add(&packed, install_script_gzip, install_script_gzip_size);
        if (r >= 0)
                r = base64_encode(BASE64_STANDARD, packed.data, packed.size, &text);
        if (r < 0)
                return r;
        /* echo is built into every shell: the text is in the arguments of no process. */
        return asprintf_safe(ret,
                             "echo '%s' | sh -c '" MAKE_FILE "base64 -d | gzip -dc >\"$f\"; " RUN_SCRIPT(
                                             "this command is damaged: copy it again") "'",
                             text);
}

int install_url_command(const char *url, const char *pin, char **ret) {
        bool pinned = !isempty(pin);

        assert(url);
        assert(ret);

        return asprintf_safe(
                        ret,
                        "echo '%s' | sh -c '" MAKE_FILE "read -r u; if command -v curl >/dev/null; then "
                        "printf \"url = %%s\\n\" \"$u\" | curl -fsS %s%s -K - -o \"$f\"; else "
                        "printf \"%%s\\n\" \"$u\" | wget -q %s%s -O \"$f\" -i -; fi || "
                        "{ echo \"backupx: the installer cannot be fetched\" >&2; exit 1; }; " RUN_SCRIPT(
                                        "this is no installer: the proxy in front of the master has to "
                                        "forward /install/ or /api/install/ to it") "'",
                        url, pinned ? "-k --pinnedpubkey " : "", strempty(pin),
                        pinned ? "--no-check-certificate --pinnedpubkey=" : "", strempty(pin));
}

/* --- Many nodes --------------------------------------------------------------------------------------- */

int install_bundle_begin(Buffer *out) {
        assert(out);

        return buffer_add_string(
                        out,
                        "#!/bin/sh\n# " INSTALL_MARKER "\n"
                        "# One file for many nodes: sh FILE NODE installs the agent of that node, here.\n"
                        "[ $# -eq 1 ] || set -- ''\n"
                        "case $1 in\n");
}

int install_bundle_add(Buffer *out, const char *node, const char *values) {
        int r;

        assert(out);
        assert(node);
        assert(values);

        r = install_quote(out, node);
        if (r >= 0)
                r = buffer_add_string(out, ")\n");
        if (r >= 0)
                r = buffer_add_string(out, values);
        return r < 0 ? r : buffer_add_string(out, ";;\n");
}

int install_bundle_end(Buffer *out) {
        int r;

        assert(out);

        r = buffer_add_string(out,
                              "*)\n"
                              "echo \"usage: sh $0 NODE, on the host of that node. The nodes are:\" >&2\n"
                              "sed -n 's/^BX_NODE=//p' \"$0\" >&2\n"
                              "exit 2\n;;\n"
                              "esac\n");
        return r < 0 ? r : buffer_add(out, install_script, install_script_size);
}

/* --- Docker ------------------------------------------------------------------------------------------- */

static int add_compose_stage(const InstallPlan *plan, InstallArch arch, Buffer *out) {
        if (!plan->urls[arch])
                return 0;
        return buffer_printf(out,
                             "        FROM debian:stable-slim AS agent-%s\n"
                             "        ADD --checksum=sha256:%s %s /agent.tar.gz\n",
                             install_arch_to_string(arch), plan->checksums[arch], plan->urls[arch]);
}

/* YAML in double quotes is read as JSON is; a dollar would be a variable of compose. */
static int add_compose_value(Buffer *out, const char *name, const char *text) {
        int r;

        if (isempty(text))
                return 0;
        r = buffer_printf(out, "      %s: \"", name);
        for (const char *p = text; *p && r >= 0; p++) {
                if (*p == '$')
                        r = buffer_add_string(out, "$$");
                else if (*p == '\n')
                        r = buffer_add_string(out, "\\n");
                else if (strchr("\"\\", *p))
                        r = buffer_printf(out, "\\%c", *p);
                else
                        r = buffer_add(out, p, 1);
        }
        return r < 0 ? r : buffer_add_string(out, "\"\n");
}

int install_compose(const InstallPlan *plan, Buffer *out) {
        int r;

        assert(plan);
        assert(out);

        r = buffer_add_string(out,
                              "# " INSTALL_MARKER "\n"
                              "# The agent of one node: docker compose up -d --build\n"
                              "services:\n"
                              "  backupx-agent:\n"
                              "    build:\n"
                              "      context: .\n"
                              "      dockerfile_inline: |\n"
                              "        # syntax=docker/dockerfile:1\n");
        for (InstallArch arch = 0; arch < INSTALL_ARCHS && r >= 0; arch++)
                r = add_compose_stage(plan, arch, out);
        if (r >= 0)
                r = buffer_printf(
                                out,
                                "        FROM agent-$${TARGETARCH}\n"
                                "        RUN apt-get -qq update && apt-get -qq install -y "
                                "--no-install-recommends "
                                "ca-certificates || echo 'no certificates of authorities'\n"
                                "        RUN tar -xzf /agent.tar.gz -C /opt && rm /agent.tar.gz && "
                                "install -d -m 0700 /var/lib/backupx-agent/results "
                                "/var/lib/backupx-agent/storage /var/lib/backupx-agent/tmp\n"
                                "        ENV BACKUPX_AGENT_JOB=/opt/backupx-agent/libexec/backupx-job\n"
                                "        ENTRYPOINT [\"/opt/backupx-agent/libexec/backupx-agent\"]\n"
                                "    image: \"backupx-agent:%s\"\n"
                                "    container_name: backupx-agent\n"
                                "    restart: unless-stopped\n"
                                "    environment:\n"
                                "      BACKUPX_AGENT_TEMP_DIR: /var/lib/backupx-agent/tmp\n",
                                plan->version);
        if (r >= 0)
                r = add_compose_value(out, "BACKUPX_AGENT_MASTER", plan->master);
        if (r >= 0)
                r = add_compose_value(out, "BACKUPX_AGENT_TOKEN", plan->token);
        if (r >= 0)
                r = add_compose_value(out, "BACKUPX_AGENT_PIN", plan->pin);
        if (r >= 0)
                r = add_compose_value(out, "BACKUPX_AGENT_PROXY_URL", plan->proxy_url);
        return r < 0 ? r :
                       buffer_add_string(out,
                                         "    volumes:\n"
                                         "      # the node's key and token\n"
                                         "      - backupx-agent:/var/lib/backupx-agent\n"
                                         "      # what is backed up: /host/… in the container\n"
                                         "      - /:/host:ro\n"
                                         "volumes:\n"
                                         "  backupx-agent:\n"
                                         "    name: backupx-agent\n");
}
