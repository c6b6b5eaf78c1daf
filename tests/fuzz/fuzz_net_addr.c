/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an address in text form, and as a socket address. */
#include <string.h>
#include <sys/socket.h>

#include "base/net_addr.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_endpoint(const char *text)
{
    char printed[NET_ENDPOINT_TEXT_MAX];
    struct net_endpoint endpoint, again;

    if (net_endpoint_parse(text, &endpoint) != 0)
        return;
    fuzz_require(net_endpoint_parse(net_endpoint_format(&endpoint, printed), &again) == 0);
    fuzz_require(net_addr_equal(&endpoint.addr, &again.addr) && endpoint.port == again.port);
}

static void fuzz_network(const char *text)
{
    char printed[NET_NETWORK_TEXT_MAX];
    struct net_network network, again;
    struct net_addr first;

    if (net_network_parse(text, &network) != 0)
        return;
    first = net_network_first(&network);
    fuzz_require(net_network_contains(&network, &first) && net_network_contains(&network, &network.address));
    fuzz_require(net_network_parse(net_network_format(&network, printed), &again) == 0);
    fuzz_require(net_addr_equal(&network.address, &again.address) && network.prefix == again.prefix);
}

static void fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), printed[NET_ADDR_TEXT_MAX];
    struct net_addr addr, again;

    memcpy(text, data, size);
    text[size] = '\0';
    if (net_addr_parse(text, &addr) == 0) {
        fuzz_require(net_addr_parse(net_addr_format(&addr, printed), &again) == 0);
        fuzz_require(net_addr_equal(&addr, &again));
    }
    fuzz_endpoint(text);
    fuzz_network(text);
    free(text);
}

static void fuzz_socket_address(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* the address sanitizer watches its end */
    char printed[NET_ENDPOINT_TEXT_MAX];
    struct net_endpoint endpoint, again;
    struct sockaddr_storage sa;
    socklen_t length;

    memcpy(exact, data, size);
    if (net_endpoint_from_sockaddr((struct sockaddr *)exact, (socklen_t)size, &endpoint) == 0) {
        length = net_endpoint_to_sockaddr(&endpoint, AF_INET6, 0, &sa);
        fuzz_require(net_endpoint_from_sockaddr((struct sockaddr *)&sa, length, &again) == 0);
        fuzz_require(net_addr_equal(&endpoint.addr, &again.addr) && endpoint.port == again.port);
        fuzz_require(strlen(net_endpoint_format(&endpoint, printed)) < NET_ENDPOINT_TEXT_MAX);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text(data, size);
    fuzz_socket_address(data, size);
    return 0;
}
