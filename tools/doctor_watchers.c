/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep doctor` says of history, disk, dashboard and the table of leap seconds. */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "clock/private_file.h"
#include "monitor/history_schema.h"
#include "monitor/history_sql.h"
#include "tools/doctor.h"

#define NS_PER_S        1000000000ll
#define SILENT_NS       (600 * NS_PER_S) /* a recorder writes each interval, at least every hour if somebody wants that */
#define RECENT_NS       (86400 * NS_PER_S)
#define FREE_LEAST      (256ull << 20)
#define FREE_PER_CENT   5
#define CONFIG_MAX      65536
#define LEAP_SOON_S     (30 * 86400)
#define LEAP_FILE       "/usr/share/zoneinfo/leap-seconds.list"
#define HISTORY_BUSY_MS 500

/* ---- history ---- */

static int64_t number(struct history_sql *sql, const char *text, int64_t value)
{
    sqlite3_stmt *statement = history_sql_query(sql, text, "i", value);
    int64_t result = -1;

    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    if (statement)
        sqlite3_reset(statement);
    return result;
}

void doctor_read_history(const char *path, int64_t now_ns, struct doctor_history *out)
{
    struct history_sql sql = {0};
    int result;

    snprintf(out->path, sizeof out->path, "%s", path);
    if (access(path, R_OK) < 0) {
        out->err = -errno;
        return;
    }
    result = sqlite3_open_v2(path, &sql.db, SQLITE_OPEN_READONLY, NULL);
    sqlite3_busy_timeout(sql.db, HISTORY_BUSY_MS);
    if (result == SQLITE_OK)
        result = history_schema_version(sql.db, &out->version);
    if (result != SQLITE_OK) {
        out->err = history_sql_code(result);
    } else if (out->version <= HISTORY_SCHEMA_VERSION) {
        out->written_ns = history_sql_number(&sql, "SELECT realtime_ns FROM recorder", -1);
        out->gaps = number(&sql, "SELECT count(*) FROM gaps WHERE to_ns > ?", now_ns - RECENT_NS);
        out->lost = number(&sql, "SELECT coalesce(sum(lost), 0) FROM gaps WHERE to_ns > ?", now_ns - RECENT_NS);
        if (out->written_ns < 0 || out->gaps < 0)
            out->err = history_sql_error(&sql);
    }
    history_sql_release(&sql);
    sqlite3_close(sql.db);
}

static void check_recorder(const struct doctor_history *history, int64_t now_ns, struct findings *findings)
{
    char text[UNITS_TEXT_MAX];
    int64_t age_ns = now_ns - history->written_ns;

    if (!history->recorder)
        finding_advise(findings_add(findings, "history", FINDING_WARNING, "lockstep-historyd does not run"),
                       "What happens now is not recorded.", "systemctl enable --now lockstep-historyd");
    else if (history->written_ns > 0 && (age_ns > SILENT_NS || age_ns < -SILENT_NS))
        finding_advise(findings_add(findings, "history", FINDING_WARNING, "last written %s %s",
                                    units_format_ns((uint64_t)(age_ns < 0 ? -age_ns : age_ns), text),
                                    age_ns < 0 ? "in the future" : "ago"),
                       "The recorder cannot write, or the system's clock was stepped.",
                       "journalctl -u lockstep-historyd; is the disk full?");
    else
        findings_add(findings, "history", FINDING_OK, "%.200s is written", history->path);
    if (history->gaps > 0)
        finding_advise(findings_add(findings, "history", FINDING_WARNING,
                                    "%" PRId64 " gaps in the last 24 h, %" PRId64 " records lost", history->gaps,
                                    history->lost),
                       "What happened in them is not known.", "lockstep history gaps; journalctl -u lockstep-historyd");
}

void doctor_check_history(const struct doctor_history *history, int64_t now_ns, struct findings *findings)
{
    if (history->err == -ENOENT && !history->recorder)
        finding_advise(findings_add(findings, "history", FINDING_NOTE, "there is none"),
                       "Connections and counters of the past cannot be looked up.",
                       "systemctl enable --now lockstep-historyd");
    else if (history->err == -EACCES || history->err == -EPERM)
        finding_advise(
            findings_add(findings, "history", FINDING_NOTE, "%.200s: not to be read by this user", history->path), "",
            "lockstep doctor as root, or as a member of the group lockstep");
    else if (history->err < 0)
        finding_advise(
            findings_add(findings, "history", FINDING_PROBLEM, "%.200s: %s", history->path, error_text(history->err)),
            "Nothing can be looked up.",
            "journalctl -u lockstep-historyd; it moves a damaged database aside by itself");
    else if (history->version > HISTORY_SCHEMA_VERSION)
        finding_advise(findings_add(findings, "history", FINDING_WARNING, "%.200s is of a newer Lockstep (version %d)",
                                    history->path, history->version),
                       "This one cannot read or write it.", "install the newer packages again, or move the file away");
    else
        check_recorder(history, now_ns, findings);
}

/* ---- disk ---- */

void doctor_read_disk(const char *path, struct doctor_disk *out)
{
    char *slash;
    struct statvfs state;

    snprintf(out->path, sizeof out->path, "%s", path);
    /* What does not exist yet will be where its directory is. */
    while (statvfs(out->path, &state) < 0) {
        slash = strrchr(out->path, '/');
        if (errno != ENOENT || !slash || slash == out->path) {
            out->err = -errno;
            return;
        }
        *slash = '\0';
    }
    out->free_bytes = (uint64_t)state.f_bavail * state.f_frsize;
    out->bytes = (uint64_t)state.f_blocks * state.f_frsize;
}

void doctor_check_disk(const struct doctor_disk *disk, struct findings *findings)
{
    char text[UNITS_TEXT_MAX];

    if (disk->err < 0)
        findings_add(findings, "disk", FINDING_NOTE, "%.200s: %s", disk->path, error_text(disk->err));
    else if (disk->free_bytes < FREE_LEAST || disk->free_bytes < disk->bytes / 100 * FREE_PER_CENT)
        finding_advise(findings_add(findings, "disk", FINDING_WARNING, "%.200s: %s free", disk->path,
                                    units_format_bytes(disk->free_bytes, text)),
                       "History stops when it is full; the fast path and the clock go on.",
                       "make room, or a smaller size in /etc/lockstep/historyd.conf");
    else
        findings_add(findings, "disk", FINDING_OK, "%.200s: %s free", disk->path,
                     units_format_bytes(disk->free_bytes, text));
}

/* ---- dashboard ---- */

void doctor_read_web(const char *path, struct doctor_web *out)
{
    static char text[CONFIG_MAX];
    long length = private_file_read(path, 0, text, sizeof text);

    out->err = length == -ENOENT ? web_config_parse(path, "", 0, &out->config, out->problem)
               : length < 0      ? (int)length
                                 : web_config_parse(path, text, (size_t)length, &out->config, out->problem);
}

void doctor_check_web(const struct doctor_web *web, struct findings *findings)
{
    if (web->err < 0)
        finding_advise(findings_add(findings, "dashboard", web->err == -EACCES ? FINDING_NOTE : FINDING_PROBLEM, "%s",
                                    web->problem[0] ? web->problem : error_text(web->err)),
                       "", "lockstep doctor as root; web.conf(5)");
    else if (!web->running)
        findings_add(findings, "dashboard", FINDING_OK, "does not run");
    else if (web_config_local(&web->config))
        findings_add(findings, "dashboard", FINDING_OK, "%s, for programs of this machine", web->config.listen_text);
    else
        finding_advise(findings_add(findings, "dashboard", FINDING_NOTE,
                                    "%s, with TLS and a token, for all who can reach it", web->config.listen_text),
                       "Whoever has the token sees programs, users, addresses and rates.",
                       "a firewall's rule for its port; a new token when somebody leaves (web.conf(5))");
}

/* ---- leap seconds ---- */

void doctor_read_leap(int64_t utc_s, struct doctor_leap *out)
{
    out->err = access(LEAP_FILE, F_OK) < 0 ? -errno : leap_file_load(LEAP_FILE, utc_s, &out->file, out->problem);
}

void doctor_check_leap(const struct doctor_leap *leap, int64_t utc_s, struct findings *findings)
{
    int64_t left_s = leap->file.expires_utc_s - utc_s;

    if (leap->err == -ENOENT)
        finding_advise(findings_add(findings, "leap seconds", FINDING_NOTE, "there is no " LEAP_FILE),
                       "The servers are asked; one that is wrong about it is believed if most are.",
                       "apt install tzdata");
    else if (leap->err < 0)
        finding_advise(findings_add(findings, "leap seconds", FINDING_WARNING, "%s", leap->problem),
                       "The servers are asked instead.", "apt install --reinstall tzdata");
    else if (leap->file.expires_utc_s == 0 || left_s > LEAP_SOON_S)
        findings_add(findings, "leap seconds", FINDING_OK, "TAI - UTC is %d s", (int)leap->file.table.tai_utc_s);
    else
        finding_advise(findings_add(findings, "leap seconds", left_s < 0 ? FINDING_WARNING : FINDING_NOTE,
                                    LEAP_FILE " %s", left_s < 0 ? "has expired" : "expires within 30 days"),
                       "A leap second that is announced later is not in it: the servers are asked instead.",
                       "apt install --only-upgrade tzdata, or the IERS' file as leap-file in clockd.conf");
}
