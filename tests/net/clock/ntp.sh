# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For scenarios with other programs' NTP and NTS: keys, certificates, chronyd (always -x: it never steers the clock).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# certificate FILE NAME ADDRESS: FILE.crt and FILE.key, signed by ca.crt, for a DNS name and an address.
certificate() {
    local base=$LT_WORK/$1
    certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile "$base.key"
    printf 'cn = "%s"\ndns_name = "%s"\nip_address = "%s"\ntls_www_server\nexpiration_days = 2\n' "$2" "$2" "$3" \
        >"$base.template"
    certtool --generate-certificate --load-privkey "$base.key" --load-ca-certificate "$LT_WORK/ca.crt" \
        --load-ca-privkey "$LT_WORK/ca.key" --template "$base.template" --outfile "$base.crt"
    chmod 600 "$base.key"
} 2>/dev/null
authority() { # FILE
    certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile "$LT_WORK/$1.key"
    printf 'cn = "Authority %s"\nca\ncert_signing_key\nexpiration_days = 2\n' "$1" >"$LT_WORK/$1.template"
    certtool --generate-self-signed --load-privkey "$LT_WORK/$1.key" --template "$LT_WORK/$1.template" \
        --outfile "$LT_WORK/$1.crt"
} 2>/dev/null
certificates() {
    authority ca
    certificate server ntp.example "$SERVER"
}
keys() {
    printf '1 SHA1 ASCII:a-secret-of-this-test\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n3 SHA256 HEX:00112233445566778899\n' \
        >"$LT_WORK/keys"
    chmod 600 "$LT_WORK/keys"
}

# chronyd NAME NODE <CONFIGURATION: starts one; its pid in $STARTED.
chronyd() {
    local dir=$LT_WORK/chrony-$1
    mkdir -p "$dir"
    chmod 700 "$dir"
    cat >"$dir/conf"
    printf 'pidfile %s/pid\nbindcmdaddress %s/sock\ncmdport 0\nntsdumpdir %s\n' "$dir" "$dir" "$dir" >>"$dir/conf"
    chronyd_again "$@"
}
chronyd_again() {
    start_kernel "$1" "$2" /usr/sbin/chronyd -x -d -u root -f "$LT_WORK/chrony-$1/conf"
    wait_for 5 "chronyd $1" chrony "$1" tracking
}
chrony() { # NAME COMMAND...
    local name=$1
    shift
    chronyc -n -h "$LT_WORK/chrony-$name/sock" "$@"
}
chrony_says() { # NAME COMMAND PATTERN
    chrony "$1" "$2" >"$LT_WORK/$1.$2"
    has_line "$LT_WORK/$1.$2" "$3"
}
wait_chrony() { wait_for "$2" "chronyd $1: $3 with $4" chrony_says "$1" "$3" "$4"; } # NAME SECONDS COMMAND PATTERN
assert_chrony() { chrony_says "$1" "$2" "$3" || fail "chronyd $1: no '$3' in $2: $(cat "$LT_WORK/$1.$2")"; }
# chrony_count NAME PATTERN: a figure of its server statistics.
chrony_count() { chrony "$1" serverstats | sed -nE "s/^$2 *: *//p"; }
