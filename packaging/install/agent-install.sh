#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BACKUPX_AGENT_INSTALL_V1
#
# Installs the agent of one node on this host, upgrades it, or gives it to another master. The master writes
# the BX_… lines in front of this text; everything below is the same for all nodes.
#
# Nothing of an installation that works is touched before the package was downloaded, checked and tried on
# this host, and the master has enrolled the node. A run that ends before that leaves things as they were.

set -eu
umask 022

PREFIX=/opt/backupx-agent
CONFIG=/etc/backupx-agent
STATE=/var/lib/backupx-agent
UNITS=/etc/systemd/system
USER_NAME=backupx
CONTAINER=backupx-agent
LOCK=/run/backupx-agent-install.lock
BUS=org.backupx.Agent1

: "${BX_NODE:=}" "${BX_MASTER:=}" "${BX_TOKEN:=}" "${BX_MODE:=}" "${BX_ARCH:=}" "${BX_VERSION:=}"
: "${BX_URL_AMD64:=}" "${BX_SHA256_AMD64:=}" "${BX_URL_ARM64:=}" "${BX_SHA256_ARM64:=}"
: "${BX_PIN:=}" "${BX_PROXY_URL:=}" "${BX_CA_CERT:=}" "${BX_SIGNING_KEY:=}"

machine='' # amd64 or arm64
stage=''   # where the package is unpacked, beside its place
secrets='' # what the agent's user may read while it enrols

say() { printf 'backupx: %s\n' "$*"; }
die() {
    printf 'backupx: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
    status=$?
    trap - EXIT
    # Between the two renames of put_in_place().
    if [ ! -e "$PREFIX" ] && [ -n "$stage" ] && [ -d "$stage/old" ]; then
        mv "$stage/old" "$PREFIX"
    fi
    [ -z "$stage" ] || rm -rf "$stage"
    [ -z "$secrets" ] || rm -rf "$secrets"
    exit "$status"
}

# --- This host ---------------------------------------------------------------------------------------------

find_machine() {
    case $(uname -m) in
    x86_64 | amd64) machine=amd64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) die "there is no agent for this processor ($(uname -m)); it has to be amd64 or arm64" ;;
    esac
    [ "$BX_ARCH" = auto ] || [ "$BX_ARCH" = "$machine" ] ||
        die "this host is $machine, and the command was made for $BX_ARCH: make one for it"
}

check_host() {
    [ "$(id -u)" = 0 ] || die "root privileges are needed: run it with sudo"
    [ "$(uname -s)" = Linux ] || die "the agent runs on Linux, and this is $(uname -s)"
    find_machine
    for tool in tar gzip sha256sum mktemp base64; do
        have "$tool" || die "the program '$tool' is missing: install it, and run the command again"
    done
    if [ "$BX_MODE" = docker ]; then
        have docker || die "the program 'docker' is missing: install Docker, or make a command for systemd"
        return
    fi
    [ -e /lib64/ld-linux-x86-64.so.2 ] || [ -e /lib/ld-linux-aarch64.so.1 ] ||
        die "the agent needs the GNU C library, which this system does not have: use the mode docker"
    have setpriv || have runuser || die "neither setpriv nor runuser is here: install util-linux"
    if [ "$BX_MODE" = foreground ]; then
        [ ! -e "$UNITS/backupx-agent.service" ] ||
            die "an agent is installed here as a service: remove it first (backupx agent uninstall)"
        return
    fi
    [ -d /run/systemd/system ] ||
        die "systemd does not run on this host: make a command for docker or foreground"
    for folder in /usr/lib/systemd/system /lib/systemd/system; do
        [ ! -e "$folder/backupx-api.service" ] ||
            die "this host is a master, whose agent is there already: it is the node 'local'"
        [ ! -e "$folder/backupx-agent.service" ] ||
            die "the package manager installed the agent here: upgrade it with that (apt upgrade backupx-agent)"
    done
}

# One at a time. What a run that was killed left behind is taken away, and what it had moved is put back.
begin_alone() {
    have flock || return 0
    exec 9>"$LOCK"
    flock -n 9 || die "another installer of the agent runs on this host"
    for left in /opt/.backupx-agent.*; do
        [ -e "$PREFIX" ] || [ ! -d "$left/old" ] || mv "$left/old" "$PREFIX"
        rm -rf "$left"
    done
    rm -rf "$STATE"/.install.*
}

# --- Downloads -----------------------------------------------------------------------------------------------

install_curl() {
    say "neither curl nor wget is here: installing curl"
    if have apt-get; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update >/dev/null || true
        apt-get -qq install -y --no-install-recommends curl ca-certificates >/dev/null
    elif have dnf; then
        dnf -q -y install curl
    elif have yum; then
        yum -q -y install curl
    elif have zypper; then
        zypper -q -n install curl
    elif have pacman; then
        pacman -Sy --noconfirm --needed curl >/dev/null
    elif have apk; then
        apk add -q curl
    else
        false
    fi || true
    have curl || die "curl cannot be installed: install curl or wget, and run the command again"
}

# download URL FILE. What comes from the master is trusted by the pin or the certificate of the command.
download() {
    (
        url=$1
        file=$2
        if [ -n "$BX_PROXY_URL" ]; then
            # In the environment, not in the arguments: a proxy's password is nobody else's business.
            https_proxy=$BX_PROXY_URL
            http_proxy=$BX_PROXY_URL
            no_proxy=''
            export https_proxy http_proxy no_proxy
        fi
        trust=''
        case $url in
        "$BX_MASTER"/*)
            [ -z "$BX_CA_CERT" ] || trust=ca
            [ -z "$BX_PIN" ] || trust=pin
            ;;
        esac
        set --
        if have curl; then
            [ "$trust" != pin ] || set -- --insecure --pinnedpubkey "$BX_PIN"
            [ "$trust" != ca ] || set -- --cacert "$stage/ca.pem"
            curl -fsSL --retry 2 --connect-timeout 15 "$@" -o "$file" "$url"
        else
            [ "$trust" != pin ] || set -- --no-check-certificate "--pinnedpubkey=$BX_PIN"
            [ "$trust" != ca ] || set -- "--ca-certificate=$stage/ca.pem"
            wget -q --tries=3 --connect-timeout=15 "$@" -O "$file" "$url"
        fi
    ) || die "the download of $1 failed: can this host reach it?"
}

check_signature() {
    [ -n "$BX_SIGNING_KEY" ] || return 0
    have openssl || return 0
    case $(openssl version) in
    'OpenSSL '[3-9].* | 'OpenSSL '[1-9][0-9].*) ;;
    *) return 0 ;;
    esac
    printf '%s\n' "$BX_SIGNING_KEY" >"$stage/key.pem"
    download "$1.sig" "$stage/sig.base64"
    base64 -d "$stage/sig.base64" >"$stage/sig" 2>/dev/null ||
        die "the signature of the package is damaged: nothing was installed"
    openssl pkeyutl -verify -pubin -inkey "$stage/key.pem" -rawin -in "$stage/package" \
        -sigfile "$stage/sig" >/dev/null 2>&1 ||
        die "the signature of the package is wrong: nothing was installed"
}

# Into $stage/backupx-agent.
fetch_package() {
    case $machine in
    amd64) url=$BX_URL_AMD64 sum=$BX_SHA256_AMD64 ;;
    *) url=$BX_URL_ARM64 sum=$BX_SHA256_ARM64 ;;
    esac
    [ -n "$url" ] || sum=''
    [ -n "$sum" ] ||
        die "the master has no package of version $BX_VERSION for $machine: nothing was installed"
    mkdir -p /opt
    stage=$(mktemp -d /opt/.backupx-agent.XXXXXX)
    chmod 0755 "$stage"
    [ -z "$BX_CA_CERT" ] || printf '%s\n' "$BX_CA_CERT" >"$stage/ca.pem"
    have curl || have wget || install_curl
    say "downloading $url"
    download "$url" "$stage/package"
    printf '%s  %s\n' "$sum" "$stage/package" | sha256sum -c >/dev/null 2>&1 ||
        die "the checksum of the package is wrong: nothing was installed"
    check_signature "$url"
    tar -xzf "$stage/package" --no-same-owner -C "$stage" || die "the package cannot be unpacked"
    rm -f "$stage/package"
    chmod -R u=rwX,go=rX "$stage/backupx-agent"
    [ "$BX_MODE" = docker ] || "$stage/backupx-agent/libexec/backupx-agent" --version >/dev/null ||
        die "the programs do not run on this host, see above: nothing was installed"
}

# --- User, folders, configuration ------------------------------------------------------------------------

make_user() {
    if have systemd-sysusers; then
        systemd-sysusers "$stage/backupx-agent/share/sysusers.d/backupx-agent.conf"
    fi
    getent passwd "$USER_NAME" >/dev/null ||
        useradd --system --user-group --no-create-home --home-dir "$STATE" --shell /usr/sbin/nologin \
            --comment 'BackupX Agent' "$USER_NAME"
    install -d -m 0755 "$CONFIG" "$CONFIG/config.yaml.d"
    for folder in "$STATE" "$STATE/results" "$STATE/staging" "$STATE/storage" "$STATE/tmp"; do
        install -d -m 0700 -o "$USER_NAME" -g "$USER_NAME" "$folder"
    done
}

as_agent() {
    if have setpriv; then
        env -i "PATH=$PATH" setpriv --reuid="$USER_NAME" --regid="$USER_NAME" --clear-groups "$@"
    else
        env -i "PATH=$PATH" runuser -u "$USER_NAME" -- "$@"
    fi
}

# write_config CA: what this command says of the master; CA is where its certificate is.
write_config() {
    printf '# Written by the installer of the agent, and overwritten by the next one.\n'
    printf "master: '%s'\n" "$BX_MASTER"
    printf "temp_dir: '%s/tmp'\n" "$STATE"
    [ -z "$BX_PIN" ] || printf "pin: '%s'\n" "$BX_PIN"
    [ -z "$BX_CA_CERT" ] || printf "ca_cert: '%s'\n" "$1"
    [ -z "$BX_PROXY_URL" ] || printf "proxy_url: '%s'\n" "$BX_PROXY_URL"
}

# put_file MODE GROUP FILE: standard input becomes FILE in one step.
put_file() {
    new=$(mktemp "$3.XXXXXX")
    cat >"$new"
    chown "root:$2" "$new"
    chmod "$1" "$new"
    mv -f "$new" "$3"
}

# --- Enrolment -----------------------------------------------------------------------------------------------

# The agent's user asks with a configuration of its own: the installed one stays until there is an answer.
enroll() {
    secrets=$(mktemp -d "$STATE/.install.XXXXXX")
    printf '%s\n' "$BX_TOKEN" >"$secrets/token"
    [ -z "$BX_CA_CERT" ] || printf '%s\n' "$BX_CA_CERT" >"$secrets/ca.pem"
    write_config "$secrets/ca.pem" >"$secrets/config.yaml"
    chown -R "$USER_NAME:$USER_NAME" "$secrets"
    chmod -R u=rwX,go= "$secrets"
    if as_agent "$stage/backupx-agent/libexec/backupx-agent" enroll --config "$secrets/config.yaml" \
        --token-file "$secrets/token"; then
        return 0
    fi
    # The same command once more, on the host that used it: an upgrade.
    [ "$(as_agent "$stage/backupx-agent/libexec/backupx-agent" wait-online --timeout 5s \
        --config "$CONFIG/config.yaml" 2>/dev/null)" = "$BX_NODE is online" ] ||
        die "the master did not enrol this host: make a new command for the node. Nothing was installed"
    say "this host was enrolled as $BX_NODE before, and stays it"
    BX_TOKEN=''
}

# --- Into place ----------------------------------------------------------------------------------------------

put_in_place() {
    [ ! -e "$PREFIX" ] || mv "$PREFIX" "$stage/old"
    mv "$stage/backupx-agent" "$PREFIX"
    if [ ! -e /usr/local/bin/backupx ] || [ -L /usr/local/bin/backupx ]; then
        mkdir -p /usr/local/bin
        ln -sf "$PREFIX/bin/backupx" /usr/local/bin/backupx
    fi
}

put_config() {
    [ -e "$CONFIG/config.yaml" ] ||
        printf '# Settings of this host. What the installer sets is in config.yaml.d.\n' |
        put_file 0644 root "$CONFIG/config.yaml"
    [ -z "$BX_CA_CERT" ] || printf '%s\n' "$BX_CA_CERT" | put_file 0644 root "$CONFIG/ca.pem"
    write_config "$CONFIG/ca.pem" | put_file 0640 "$USER_NAME" "$CONFIG/config.yaml.d/50-install.yaml"
    [ -z "$BX_TOKEN" ] || printf '%s\n' "$BX_TOKEN" | put_file 0600 root "$CONFIG/token"
}

put_units() {
    for unit in "$stage"/old/units/*; do # of a version that had more of them
        [ ! -e "$unit" ] || [ -e "$PREFIX/units/${unit##*/}" ] || rm -f "$UNITS/${unit##*/}"
    done
    for unit in "$PREFIX"/units/*; do
        put_file 0644 root "$UNITS/${unit##*/}" <"$unit"
    done
    put_file 0644 root /etc/tmpfiles.d/backupx-agent.conf <"$PREFIX/share/tmpfiles.d/backupx-agent.conf"
    systemd-tmpfiles --create backupx-agent.conf
    if [ -d /etc/dbus-1/system.d ]; then
        put_file 0644 root "/etc/dbus-1/system.d/$BUS.conf" <"$PREFIX/share/dbus-1/system.d/$BUS.conf"
        systemctl -q reload dbus.service 2>/dev/null || true
    fi
    systemctl daemon-reload
}

start_units() {
    was_active=no
    ! systemctl -q is-active backupx-agent.service || was_active=yes
    systemctl -q enable --now backupx-agent.service || true # the reason is shown below
    # Running jobs are processes of their own; the new agent takes their sockets over.
    [ "$was_active" = no ] || systemctl restart backupx-agent.service 2>/dev/null || true
}

# The master may still think of the agent that was here before: the new one has to say so, too.
is_connected() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        case $(systemctl show -P StatusText backupx-agent.service) in
        'Connected to '*) return 0 ;;
        esac
        systemctl -q is-active backupx-agent.service || return 1
        sleep 1
    done
    return 1
}

wait_online() {
    say "waiting for the master to see $BX_NODE online"
    if as_agent "$PREFIX/libexec/backupx-agent" wait-online --timeout 30s \
        --config "$CONFIG/config.yaml" && is_connected; then
        say "done. To remove the agent again: backupx agent uninstall"
        return
    fi
    systemctl status --no-pager --full backupx-agent.service >&2 || true
    journalctl --no-pager -n 50 -u backupx-agent.service >&2 || true
    die "the agent is installed, but the node did not come online within 30 s; the reason is above"
}

install_systemd() {
    make_user
    enroll
    # From here to the restart it is a matter of a second, and no place to stop.
    trap '' HUP INT TERM
    put_in_place
    put_config
    put_units
    start_units
    trap 'exit 130' HUP INT TERM
    wait_online
}

# --- The other modes -----------------------------------------------------------------------------------------

install_foreground() {
    make_user
    put_in_place
    printf '%s\n' "$BX_TOKEN" | put_file 0600 "$USER_NAME" "$STATE/enrollment"
    chown "$USER_NAME" "$STATE/enrollment"
    [ -z "$BX_CA_CERT" ] || printf '%s\n' "$BX_CA_CERT" | put_file 0644 root "$CONFIG/ca.pem"
    say "installed to $PREFIX. This runs the agent of $BX_NODE until you press Control-C:"
    printf "\n    runuser -u %s -- env BACKUPX_AGENT_MASTER='%s'" "$USER_NAME" "$BX_MASTER"
    printf " BACKUPX_AGENT_TOKEN_FILE=%s/enrollment BACKUPX_AGENT_TEMP_DIR=%s/tmp" "$STATE" "$STATE"
    [ -z "$BX_PIN" ] || printf " BACKUPX_AGENT_PIN='%s'" "$BX_PIN"
    [ -z "$BX_CA_CERT" ] || printf " BACKUPX_AGENT_CA_CERT=%s/ca.pem" "$CONFIG"
    [ -z "$BX_PROXY_URL" ] || printf " BACKUPX_AGENT_PROXY_URL='%s'" "$BX_PROXY_URL"
    printf " BACKUPX_AGENT_JOB=%s/libexec/backupx-job %s/bin/backupx agent\n\n" "$PREFIX" "$PREFIX"
}

write_environment() {
    printf 'BACKUPX_AGENT_MASTER=%s\n' "$BX_MASTER"
    printf 'BACKUPX_AGENT_TOKEN=%s\n' "$BX_TOKEN"
    printf 'BACKUPX_AGENT_TEMP_DIR=%s/tmp\n' "$STATE"
    [ -z "$BX_PIN" ] || printf 'BACKUPX_AGENT_PIN=%s\n' "$BX_PIN"
    [ -z "$BX_CA_CERT" ] || printf 'BACKUPX_AGENT_CA_CERT=%s/ca.pem\n' "$CONFIG"
    [ -z "$BX_PROXY_URL" ] || printf 'BACKUPX_AGENT_PROXY_URL=%s\n' "$BX_PROXY_URL"
}

write_compose() {
    cat <<END
# The agent of this host, started by: docker compose -f $CONFIG/compose.yml up -d
services:
  $CONTAINER:
    image: $CONTAINER:$BX_VERSION
    container_name: $CONTAINER
    restart: unless-stopped
    env_file: $CONFIG/docker.env
    volumes:
      - $CONTAINER:$STATE
      - $CONFIG:$CONFIG:ro
      - /:/host:ro
volumes:
  $CONTAINER:
    name: $CONTAINER
END
}

# The slim image knows no authority: it gets those that the host trusts.
copy_authorities() {
    mkdir "$stage/certs"
    for bundle in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$bundle" ] || cp -L "$bundle" "$stage/certs/ca-certificates.crt"
    done
}

build_image() {
    copy_authorities
    cat >"$stage/Dockerfile" <<END
FROM debian:stable-slim
COPY backupx-agent $PREFIX
COPY certs /etc/ssl/certs
RUN install -d -m 0700 $STATE $STATE/results $STATE/staging $STATE/storage $STATE/tmp
ENV BACKUPX_AGENT_JOB=$PREFIX/libexec/backupx-job
ENTRYPOINT ["$PREFIX/libexec/backupx-agent"]
END
    docker build -t "$CONTAINER:$BX_VERSION" "$stage" || die "docker build failed: nothing was installed"
}

start_container() {
    docker rm -f "$CONTAINER" >/dev/null 2>&1 || true
    if docker compose version >/dev/null 2>&1; then
        docker compose -f "$CONFIG/compose.yml" -p "$CONTAINER" up -d
    else
        docker run -d --name "$CONTAINER" --restart unless-stopped --env-file "$CONFIG/docker.env" \
            -v "$CONTAINER:$STATE" -v "$CONFIG:$CONFIG:ro" -v /:/host:ro "$CONTAINER:$BX_VERSION"
    fi
}

install_docker() {
    build_image
    install -d -m 0755 "$CONFIG"
    [ -z "$BX_CA_CERT" ] || printf '%s\n' "$BX_CA_CERT" | put_file 0644 root "$CONFIG/ca.pem"
    write_environment | put_file 0600 root "$CONFIG/docker.env"
    write_compose | put_file 0644 root "$CONFIG/compose.yml"
    say "waiting for the master to see $BX_NODE online"
    if start_container && docker exec "$CONTAINER" "$PREFIX/libexec/backupx-agent" wait-online --timeout 30s
    then
        say "done. The files of this host are below /host in the container"
        return
    fi
    docker ps -a --filter "name=$CONTAINER" >&2 || true
    docker logs --tail=100 "$CONTAINER" >&2 || true
    die "the node did not come online within 30 s; the reason is above"
}

main() {
    [ -n "$BX_NODE$BX_MASTER$BX_TOKEN" ] ||
        die "this installer names no master: get a command from it with 'backupx nodes install NAME'"
    check_host
    begin_alone
    trap clean_up EXIT
    trap 'exit 130' HUP INT TERM
    say "installing the agent $BX_VERSION of the node $BX_NODE at $BX_MASTER ($BX_MODE)"
    fetch_package
    case $BX_MODE in
    systemd) install_systemd ;;
    docker) install_docker ;;
    foreground) install_foreground ;;
    *) die "unknown mode '$BX_MODE'" ;;
    esac
}

main
exit
