/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/links.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

static char buffer[1024] __attribute__((aligned(8)));

static struct nlmsghdr *begin(uint16_t type, size_t extra, void **body)
{
    struct nlmsghdr *message;

    memset(buffer, 0, sizeof(buffer));
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    *body = mnl_nlmsg_put_extra_header(message, extra);
    return message;
}

static struct nlmsghdr *link_message(uint16_t type, int ifindex, const char *name, uint32_t mtu)
{
    struct ifinfomsg *info;
    struct nlmsghdr *message = begin(type, sizeof(*info), (void **)&info);

    info->ifi_index = ifindex;
    info->ifi_flags = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    mnl_attr_put_u32(message, IFLA_MTU, mtu);
    mnl_attr_put(message, IFLA_ADDRESS, 6, "\x02\0\0\0\0\x01");
    return message;
}

static void put_vlan(struct nlmsghdr *message, uint16_t id, uint16_t protocol, uint32_t parent)
{
    struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO), *data;

    mnl_attr_put_strz(message, IFLA_INFO_KIND, "vlan");
    data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    mnl_attr_put_u16(message, IFLA_VLAN_PROTOCOL, htons(protocol));
    mnl_attr_put_u16(message, IFLA_VLAN_ID, id);
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
    mnl_attr_put_u32(message, IFLA_LINK, parent);
}

static struct nlmsghdr *address_message(uint16_t type, unsigned ifindex, const char *text, uint8_t prefix,
                                        uint32_t flags)
{
    struct ifaddrmsg *info;
    struct nlmsghdr *message = begin(type, sizeof(*info), (void **)&info);
    struct net_addr address;

    assert_int_equal(net_addr_parse(text, &address), 0);
    info->ifa_index = ifindex;
    info->ifa_prefixlen = prefix;
    if (net_addr_is_v4(&address))
        mnl_attr_put_u32(message, IFA_LOCAL, net_addr_to_v4(&address));
    else
        mnl_attr_put(message, IFA_ADDRESS, 16, address.byte);
    mnl_attr_put_u32(message, IFA_FLAGS, flags);
    return message;
}

static void test_links(void **unused)
{
    struct links links = {0};
    struct nlmsghdr *message;

    (void)unused;
    assert_int_equal(links_apply(&links, link_message(RTM_NEWLINK, 2, "eth0", 1500)), LINKS_CHANGED_LINK);
    assert_int_equal(links_apply(&links, link_message(RTM_NEWLINK, 2, "eth0", 1500)), 0);
    assert_int_equal(links_apply(&links, link_message(RTM_NEWLINK, 2, "eth0", 9000)), LINKS_CHANGED_LINK);
    assert_int_equal(links_find(&links, 2)->mtu, 9000);
    assert_false(links_find(&links, 2)->is_virtual);
    message = link_message(RTM_NEWLINK, 3, "eth0.7", 1500);
    put_vlan(message, 7, ETH_P_8021Q, 2);
    assert_int_equal(links_apply(&links, message), LINKS_CHANGED_LINK);
    assert_int_equal(links_find_name(&links, "eth0.7")->vlan, 7);
    assert_int_equal(links_find_name(&links, "eth0.7")->parent, 2);
    assert_true(links_find_name(&links, "eth0.7")->is_virtual);
    message = link_message(RTM_NEWLINK, 4, "outer", 1500); /* a service tag is another matter */
    put_vlan(message, 9, ETH_P_8021AD, 2);
    links_apply(&links, message);
    assert_int_equal(links_find(&links, 4)->vlan, 0);
    message = link_message(RTM_NEWLINK, 5, "far", 1500);
    put_vlan(message, 7, ETH_P_8021Q, 2);
    mnl_attr_put_u32(message, IFLA_LINK_NETNSID, 0); /* its parent is another namespace's interface 2 */
    links_apply(&links, message);
    assert_int_equal(links_find(&links, 5)->parent, 0);
    assert_int_equal(links_apply(&links, link_message(RTM_DELLINK, 2, "eth0", 1500)), LINKS_CHANGED_LINK);
    assert_null(links_find(&links, 2));
    assert_null(links_find_name(&links, "eth0"));
    links_fini(&links);
}

static void test_addresses(void **unused)
{
    struct links links = {0};

    (void)unused;
    assert_int_equal(links_apply(&links, address_message(RTM_NEWADDR, 2, "10.0.0.1", 24, 0)), LINKS_CHANGED_ADDRESS);
    assert_int_equal(links_apply(&links, address_message(RTM_NEWADDR, 2, "10.0.0.1", 24, 0)), 0);
    assert_int_equal(links_apply(&links, address_message(RTM_NEWADDR, 2, "fd00::1", 64, IFA_F_TENTATIVE)),
                     LINKS_CHANGED_ADDRESS);
    assert_int_equal(links.address_count, 2);
    assert_false(links.address[1].usable);
    links_apply(&links, address_message(RTM_NEWADDR, 2, "fd00::1", 64, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC));
    assert_true(links.address[1].usable);
    links_apply(&links, address_message(RTM_NEWADDR, 2, "fd00::1", 64, IFA_F_DADFAILED));
    assert_false(links.address[1].usable);
    assert_int_equal(links_apply(&links, address_message(RTM_DELADDR, 2, "10.0.0.1", 24, 0)), LINKS_CHANGED_ADDRESS);
    assert_int_equal(links_apply(&links, address_message(RTM_DELADDR, 2, "10.0.0.1", 24, 0)), 0);
    assert_int_equal(links.address_count, 1);
    links_apply(&links, link_message(RTM_NEWLINK, 2, "eth0", 1500));
    assert_int_equal(links_apply(&links, link_message(RTM_DELLINK, 2, "eth0", 1500)),
                     LINKS_CHANGED_LINK | LINKS_CHANGED_ADDRESS);
    assert_int_equal(links.address_count, 0);
    links_fini(&links);
}

static void test_routes(void **unused)
{
    struct route_info info;
    struct rtmsg *route;
    struct nlmsghdr *message = begin(RTM_NEWROUTE, sizeof(*route), (void **)&route);
    struct nlattr *metrics;
    struct {
        uint16_t family;
        uint8_t address[16];
    } via = {AF_INET6, {0xfe, 0x80, [15] = 1}};

    (void)unused;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(message, RTA_OIF, 5);
    mnl_attr_put_u32(message, RTA_GATEWAY, inet_addr("10.0.0.254"));
    mnl_attr_put_u32(message, RTA_PREFSRC, inet_addr("10.0.0.1"));
    metrics = mnl_attr_nest_start(message, RTA_METRICS);
    mnl_attr_put_u32(message, RTAX_MTU, 1280);
    mnl_attr_nest_end(message, metrics);
    assert_int_equal(route_parse(message, &info), 0);
    assert_int_equal(info.type, RTN_UNICAST);
    assert_int_equal(info.ifindex, 5);
    assert_int_equal(info.mtu, 1280);
    assert_true(info.has_gateway && info.has_source);
    assert_int_equal(net_addr_to_v4(&info.gateway), inet_addr("10.0.0.254"));
    message = begin(RTM_NEWROUTE, sizeof(*route), (void **)&route);
    mnl_attr_put(message, RTA_VIA, sizeof(via), &via);
    assert_int_equal(route_parse(message, &info), 0);
    assert_true(info.has_gateway);
    assert_false(net_addr_is_v4(&info.gateway));
    message->nlmsg_type = RTM_NEWLINK;
    assert_int_equal(route_parse(message, &info), LOCKSTEP_E_BAD_FORMAT);
}

static void test_neighbours(void **unused)
{
    struct neighbour_info info;
    struct ndmsg *body;
    struct nlmsghdr *message = begin(RTM_NEWNEIGH, sizeof(*body), (void **)&body);

    (void)unused;
    assert_int_equal(neighbour_parse(message, &info), LOCKSTEP_E_BAD_FORMAT);
    body->ndm_family = AF_INET;
    body->ndm_ifindex = 3;
    body->ndm_state = NUD_REACHABLE;
    assert_int_equal(neighbour_parse(message, &info), LOCKSTEP_E_BAD_FORMAT); /* no address */
    mnl_attr_put_u32(message, NDA_DST, inet_addr("10.0.0.2"));
    assert_int_equal(neighbour_parse(message, &info), 0);
    assert_false(info.has_mac);
    mnl_attr_put(message, NDA_LLADDR, 6, "\x02\0\0\0\0\x02");
    assert_int_equal(neighbour_parse(message, &info), 0);
    assert_true(info.has_mac);
    assert_false(info.removed);
    message->nlmsg_type = RTM_DELNEIGH;
    assert_int_equal(neighbour_parse(message, &info), 0);
    assert_true(info.removed);
}

/* RFC 1112, section 6.4: the lower 23 bits; RFC 2464, section 7: the lower 32. */
static void test_multicast_mac(void **unused)
{
    struct net_addr group;
    uint8_t mac[6];

    (void)unused;
    net_addr_parse("239.129.2.3", &group);
    multicast_mac(&group, mac);
    assert_memory_equal(mac, "\x01\x00\x5e\x01\x02\x03", 6);
    net_addr_parse("ff02::1:ff00:1234", &group);
    multicast_mac(&group, mac);
    assert_memory_equal(mac, "\x33\x33\xff\x00\x12\x34", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),      cmocka_unit_test(test_addresses),     cmocka_unit_test(test_routes),
        cmocka_unit_test(test_neighbours), cmocka_unit_test(test_multicast_mac),
    };

    return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
