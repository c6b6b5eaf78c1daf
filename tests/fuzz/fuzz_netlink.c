/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a batch of rtnetlink messages. */
#include <libmnl/libmnl.h>
#include <string.h>

#include "service/links.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct links links = {0};
    void *copy = calloc(1, MNL_ALIGN(size) + 1); /* libmnl counts on whole words, as the service's buffer has them */
    const struct nlmsghdr *message = copy;
    int left = (int)size;

    memcpy(copy, data, size);
    for (; netlink_message_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        struct neighbour_info neighbour;
        struct route_info route;

        links_apply(&links, message);
        neighbour_parse(message, &neighbour);
        route_parse(message, &route);
    }
    for (size_t i = 0; i < links.link_count; i++) {
        const struct link *link = &links.link[i];

        fuzz_require(memchr(link->name, 0, sizeof(link->name)) && memchr(link->kind, 0, sizeof(link->kind)));
        fuzz_require(link->ifindex != 0 && links_find(&links, link->ifindex) == link);
    }
    links_fini(&links);
    free(copy);
    return 0;
}
