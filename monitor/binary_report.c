/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/binary_report.h"

#include <unistd.h>

int table_ask(struct netd_client *client, bool histograms, struct connection_table *out)
{
    int fd, err = client_report(client, histograms ? CONTROL_REPORT_HISTOGRAMS : CONTROL_REPORT_TABLE, &fd);

    if (err < 0)
        return err;
    err = table_read(fd, out);
    close(fd);
    return err;
}

int journal_ask(struct netd_client *client, struct journal_reader *out)
{
    int fd, err = client_report(client, CONTROL_REPORT_JOURNAL, &fd);

    *out = (struct journal_reader){0};
    if (err < 0)
        return err;
    err = journal_reader_open(out, fd);
    close(fd);
    return err;
}
