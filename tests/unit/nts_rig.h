/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of the NTS key establishment: certificates made on the spot, sockets on loopback (of a network namespace of
 * its own, where that is possible), and a clock that can be moved on. */
#ifndef LOCKSTEP_TESTS_NTS_RIG_H
#define LOCKSTEP_TESTS_NTS_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock/private_file.h"
#include "platform/platform.h"
#include "tests/unit/namespaces.h"
#include "tests/unit/unit.h"

#define NS_PER_S 1000000000ll
#define DAY_S    86400

/* ---- certificates ---- */

struct rig_signer {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
};

static char rig_dir[] = "/tmp/lockstep-nts-XXXXXX";
static struct rig_signer rig_ca, rig_other_ca;

static inline const char *rig_path(const char *name)
{
    static char path[4][96];
    static unsigned next;
    char *at = path[next++ % 4];

    snprintf(at, sizeof path[0], "%s/%s", rig_dir, name);
    return at;
}

#define rig_require(call) assert_true((call) >= 0)

static gnutls_ecc_curve_t rig_curve = GNUTLS_ECC_CURVE_SECP256R1;

static inline struct rig_signer rig_make(const char *name, long from_s, long until_s, const struct rig_signer *by)
{
    struct rig_signer made;
    unsigned char serial[4] = {1, 2, 3, 4};
    struct in_addr addr;

    rig_require(gnutls_x509_privkey_init(&made.key));
    rig_require(gnutls_x509_privkey_generate(made.key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(rig_curve), 0));
    rig_require(gnutls_x509_crt_init(&made.certificate));
    rig_require(gnutls_x509_crt_set_version(made.certificate, 3));
    rig_require(gnutls_x509_crt_set_serial(made.certificate, serial, sizeof serial));
    rig_require(gnutls_x509_crt_set_activation_time(made.certificate, time(NULL) + from_s));
    rig_require(gnutls_x509_crt_set_expiration_time(made.certificate, time(NULL) + until_s));
    rig_require(
        gnutls_x509_crt_set_dn_by_oid(made.certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)));
    rig_require(gnutls_x509_crt_set_key(made.certificate, made.key));
    if (!by) {
        rig_require(gnutls_x509_crt_set_ca_status(made.certificate, 1));
        rig_require(gnutls_x509_crt_set_key_usage(made.certificate, GNUTLS_KEY_KEY_CERT_SIGN));
    } else if (inet_pton(AF_INET, name, &addr) == 1) {
        rig_require(
            gnutls_x509_crt_set_subject_alt_name(made.certificate, GNUTLS_SAN_IPADDRESS, &addr, sizeof addr, 0));
    } else {
        rig_require(gnutls_x509_crt_set_subject_alt_name(made.certificate, GNUTLS_SAN_DNSNAME, name,
                                                         (unsigned)strlen(name), 0));
    }
    rig_require(gnutls_x509_crt_sign2(made.certificate, by ? by->certificate : made.certificate,
                                      by ? by->key : made.key, GNUTLS_DIG_SHA256, 0));
    return made;
}

/* Writes NAME.crt and NAME.key. */
static inline void rig_write(const struct rig_signer *signer, const char *name)
{
    gnutls_datum_t text;
    char file[64];

    rig_require(gnutls_x509_crt_export2(signer->certificate, GNUTLS_X509_FMT_PEM, &text));
    snprintf(file, sizeof file, "%s.crt", name);
    assert_int_equal(private_file_write(rig_path(file), text.data, text.size), 0);
    gnutls_free(text.data);
    rig_require(gnutls_x509_privkey_export2(signer->key, GNUTLS_X509_FMT_PEM, &text));
    snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(private_file_write(rig_path(file), text.data, text.size), 0);
    gnutls_free(text.data);
}

static inline void rig_free(struct rig_signer *signer)
{
    gnutls_x509_crt_deinit(signer->certificate);
    gnutls_x509_privkey_deinit(signer->key);
}

static inline void rig_issue(const char *file, const char *name, long from_s, long until_s, const struct rig_signer *by)
{
    struct rig_signer made = rig_make(name, from_s, until_s, by);

    rig_write(&made, file);
    rig_free(&made);
}

static inline int rig_set_up(void **state)
{
    (void)state;
    if (namespaces_possible())
        shell("ip link set lo up");
    if (!mkdtemp(rig_dir))
        return -1;
    rig_ca = rig_make("Test authority", -2 * DAY_S, 9 * DAY_S, NULL);
    rig_other_ca = rig_make("Another authority", -2 * DAY_S, 9 * DAY_S, NULL);
    rig_write(&rig_ca, "ca");
    rig_write(&rig_other_ca, "other-ca");
    rig_issue("good", "ntp.example", -DAY_S, DAY_S, &rig_ca);
    rig_issue("address", "127.0.0.1", -DAY_S, DAY_S, &rig_ca);
    rig_issue("expired", "ntp.example", -2 * DAY_S, -DAY_S, &rig_ca);
    rig_issue("early", "ntp.example", DAY_S, 2 * DAY_S, &rig_ca);
    rig_issue("foreign", "ntp.example", -DAY_S, DAY_S, &rig_other_ca);
    return 0;
}

static inline int rig_tear_down(void **state)
{
    (void)state;
    rig_free(&rig_ca);
    rig_free(&rig_other_ca);
    shell("rm -r %s", rig_dir);
    return 0;
}

/* ---- sockets and time ---- */

static int64_t rig_ahead_ns; /* of the real clock */

static inline int64_t rig_now(void)
{
    return (int64_t)platform_now_ns() + rig_ahead_ns;
}

static inline int rig_listen(uint16_t *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, length), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &length), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

static inline int rig_connect(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        assert_true(errno == EINPROGRESS || errno == ECONNREFUSED);
    return fd;
}

/* Waits for either descriptor, at most 20 ms. */
static inline void rig_wait(int one, int other)
{
    struct pollfd fds[2] = {{one, POLLIN, 0}, {other, POLLIN, 0}};

    poll(fds, 2, 20);
}

#endif
