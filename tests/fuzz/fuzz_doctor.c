/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's messages about filters and chains: the first byte's lowest bit chooses, the rest is the message's
 * payload. */
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/doctor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct doctor_programs programs;
    static struct doctor_firewall firewall;
    struct nlmsghdr *message;

    if (size < 1 || size > 4096)
        return 0;
    message = calloc(1, NLMSG_ALIGN(NLMSG_HDRLEN + size - 1)); /* no more, so that reading on is seen */
    if (!message)
        return 0;
    memcpy((char *)message + NLMSG_HDRLEN, data + 1, size - 1);
    message->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size - 1);
    message->nlmsg_type = data[0] & 1 ? RTM_NEWTFILTER : NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN;
    programs.count = firewall.count = 0;
    doctor_parse_filter(message, 0, DOCTOR_TC_INGRESS, &programs);
    doctor_parse_chain(message, &firewall);
    free(message);
    return 0;
}
