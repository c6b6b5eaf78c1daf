/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void links_clear(struct links *links)
{
    links->link_count = 0;
    links->address_count = 0;
}

void links_fini(struct links *links)
{
    free(links->link);
    free(links->address);
    memset(links, 0, sizeof(*links));
}

const struct link *links_find(const struct links *links, unsigned ifindex)
{
    for (size_t i = 0; i < links->link_count; i++) {
        if (links->link[i].ifindex == ifindex)
            return &links->link[i];
    }
    return NULL;
}

const struct link *links_find_name(const struct links *links, const char *name)
{
    for (size_t i = 0; i < links->link_count; i++) {
        if (!strcmp(links->link[i].name, name))
            return &links->link[i];
    }
    return NULL;
}

/* Attribute payloads are copied only when they are long enough. */
static bool attr_u32(const struct nlattr *attr, uint32_t *out)
{
    if (mnl_attr_get_payload_len(attr) < sizeof(*out))
        return false;
    memcpy(out, mnl_attr_get_payload(attr), sizeof(*out));
    return true;
}

static void attr_text(const struct nlattr *attr, char *out, size_t size)
{
    size_t length = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

    if (length >= size)
        length = size - 1;
    memcpy(out, mnl_attr_get_payload(attr), length);
    out[length] = 0;
}

static bool attr_addr(const struct nlattr *attr, struct net_addr *out)
{
    uint32_t v4;

    if (mnl_attr_get_payload_len(attr) == 16) {
        memcpy(out->byte, mnl_attr_get_payload(attr), 16);
        return true;
    }
    if (mnl_attr_get_payload_len(attr) != 4 || !attr_u32(attr, &v4))
        return false;
    *out = net_addr_from_v4(v4);
    return true;
}

/* Walks the attributes behind a fixed header of `fixed` bytes; false if the message is too short for that. */
static bool has_fixed(const struct nlmsghdr *message, size_t fixed)
{
    return message->nlmsg_len >= sizeof(*message) + NLMSG_ALIGN(fixed);
}

/* Customer tags (802.1Q) only. */
static void parse_vlan(const struct nlattr *data, struct link *link)
{
    const struct nlattr *attr;
    bool customer = true;
    uint16_t id = 0;

    mnl_attr_for_each_nested(attr, data)
    {
        uint16_t value;

        if (mnl_attr_get_payload_len(attr) < sizeof(value))
            continue;
        memcpy(&value, mnl_attr_get_payload(attr), sizeof(value));
        if (mnl_attr_get_type(attr) == IFLA_VLAN_ID)
            id = value;
        else if (mnl_attr_get_type(attr) == IFLA_VLAN_PROTOCOL)
            customer = value == htons(ETH_P_8021Q);
    }
    link->vlan = customer ? id : 0;
}

static void parse_link_info(const struct nlattr *info, struct link *link)
{
    const struct nlattr *attr;

    mnl_attr_for_each_nested(attr, info)
    {
        if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
            attr_text(attr, link->kind, sizeof(link->kind));
        else if (mnl_attr_get_type(attr) == IFLA_INFO_DATA && !strcmp(link->kind, "vlan"))
            parse_vlan(attr, link); /* the kernel sends the kind first */
    }
    link->is_virtual = link->kind[0] != 0;
}

static bool parse_link(const struct nlmsghdr *message, struct link *link)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attr;

    memset(link, 0, sizeof(*link));
    if (!has_fixed(message, sizeof(*info)))
        return false;
    if (info->ifi_family != 0) /* AF_BRIDGE: a port's settings */
        return false;
    link->ifindex = (unsigned)info->ifi_index;
    link->flags = info->ifi_flags;
    mnl_attr_for_each(attr, message, sizeof(*info))
    {
        switch (mnl_attr_get_type(attr)) {
        case IFLA_IFNAME:
            attr_text(attr, link->name, sizeof(link->name));
            break;
        case IFLA_MTU:
            attr_u32(attr, &link->mtu);
            break;
        case IFLA_LINK:
            attr_u32(attr, &link->parent);
            break;
        case IFLA_LINK_NETNSID:
            link->other_namespace = true;
            break;
        case IFLA_ADDRESS:
            if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
                memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
            break;
        case IFLA_LINKINFO:
            parse_link_info(attr, link);
            break;
        }
    }
    if (link->other_namespace)
        link->parent = 0;
    return link->ifindex != 0;
}

/* Room for one more element in an array that doubles. */
static int reserve(void **items, size_t count, size_t size)
{
    void *larger;

    if (count != 0 && (count & (count - 1)))
        return 0;
    larger = realloc(*items, (count ? count * 2 : 1) * size);
    if (!larger)
        return -ENOMEM;
    *items = larger;
    return 0;
}

static int remove_link(struct links *links, unsigned ifindex)
{
    int changed = 0;

    for (size_t i = 0; i < links->link_count; i++) {
        if (links->link[i].ifindex != ifindex)
            continue;
        links->link[i] = links->link[--links->link_count];
        changed |= LINKS_CHANGED_LINK;
        break;
    }
    for (size_t i = 0; i < links->address_count;) {
        if (links->address[i].ifindex != ifindex) {
            i++;
            continue;
        }
        links->address[i] = links->address[--links->address_count];
        changed |= LINKS_CHANGED_ADDRESS;
    }
    return changed;
}

static int apply_link(struct links *links, const struct nlmsghdr *message)
{
    struct link link;

    if (!parse_link(message, &link))
        return 0;
    if (message->nlmsg_type == RTM_DELLINK)
        return remove_link(links, link.ifindex);
    for (size_t i = 0; i < links->link_count; i++) {
        if (links->link[i].ifindex != link.ifindex)
            continue;
        if (!memcmp(&links->link[i], &link, sizeof(link)))
            return 0;
        links->link[i] = link;
        return LINKS_CHANGED_LINK;
    }
    if (reserve((void **)&links->link, links->link_count, sizeof(link)) < 0)
        return -ENOMEM;
    links->link[links->link_count++] = link;
    return LINKS_CHANGED_LINK;
}

static bool parse_address(const struct nlmsghdr *message, struct link_address *out)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attr;
    bool has_local = false, has_address = false;
    uint32_t flags;

    memset(out, 0, sizeof(*out));
    if (!has_fixed(message, sizeof(*info)))
        return false;
    flags = info->ifa_flags;
    out->ifindex = info->ifa_index;
    out->prefix = info->ifa_prefixlen;
    mnl_attr_for_each(attr, message, sizeof(*info))
    {
        switch (mnl_attr_get_type(attr)) {
        case IFA_LOCAL: /* on point-to-point links IFA_ADDRESS is the peer's */
            has_local = attr_addr(attr, &out->address);
            break;
        case IFA_ADDRESS:
            if (!has_local)
                has_address = attr_addr(attr, &out->address);
            break;
        case IFA_BROADCAST:
            out->has_broadcast = attr_addr(attr, &out->broadcast);
            break;
        case IFA_FLAGS:
            attr_u32(attr, &flags);
            break;
        }
    }
    out->usable = !(flags & IFA_F_DADFAILED) && (!(flags & IFA_F_TENTATIVE) || (flags & IFA_F_OPTIMISTIC));
    return has_local || has_address;
}

static int apply_address(struct links *links, const struct nlmsghdr *message)
{
    struct link_address address;

    if (!parse_address(message, &address))
        return 0;
    for (size_t i = 0; i < links->address_count; i++) {
        struct link_address *known = &links->address[i];

        if (known->ifindex != address.ifindex || known->prefix != address.prefix ||
            !net_addr_equal(&known->address, &address.address))
            continue;
        if (message->nlmsg_type == RTM_DELADDR) {
            *known = links->address[--links->address_count];
            return LINKS_CHANGED_ADDRESS;
        }
        if (!memcmp(known, &address, sizeof(address)))
            return 0; /* lifetimes only */
        *known = address;
        return LINKS_CHANGED_ADDRESS;
    }
    if (message->nlmsg_type == RTM_DELADDR)
        return 0;
    if (reserve((void **)&links->address, links->address_count, sizeof(address)) < 0)
        return -ENOMEM;
    links->address[links->address_count++] = address;
    return LINKS_CHANGED_ADDRESS;
}

int links_apply(struct links *links, const struct nlmsghdr *message)
{
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return apply_link(links, message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return apply_address(links, message);
    }
    return 0;
}

int neighbour_parse(const struct nlmsghdr *message, struct neighbour_info *out)
{
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attr;
    bool has_address = false;

    memset(out, 0, sizeof(*out));
    if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH)
        return LOCKSTEP_E_BAD_FORMAT;
    if (!has_fixed(message, sizeof(*info)) || (info->ndm_family != AF_INET && info->ndm_family != AF_INET6))
        return LOCKSTEP_E_BAD_FORMAT;
    out->ifindex = (unsigned)info->ndm_ifindex;
    out->state = info->ndm_state;
    out->removed = message->nlmsg_type == RTM_DELNEIGH;
    mnl_attr_for_each(attr, message, sizeof(*info))
    {
        if (mnl_attr_get_type(attr) == NDA_DST) {
            has_address = attr_addr(attr, &out->address);
        } else if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == sizeof(out->mac)) {
            memcpy(out->mac, mnl_attr_get_payload(attr), sizeof(out->mac));
            out->has_mac = true;
        }
    }
    return has_address ? 0 : LOCKSTEP_E_BAD_FORMAT;
}

static void parse_metrics(const struct nlattr *metrics, struct route_info *out)
{
    const struct nlattr *attr;

    mnl_attr_for_each_nested(attr, metrics)
    {
        if (mnl_attr_get_type(attr) == RTAX_MTU)
            attr_u32(attr, &out->mtu);
    }
}

/* RTA_VIA: an IPv4 route through an IPv6 gateway (RFC 5549): address family, then the address. */
static bool parse_via(const struct nlattr *attr, struct net_addr *out)
{
    const struct rtvia *via = mnl_attr_get_payload(attr);

    if (mnl_attr_get_payload_len(attr) < sizeof(*via) + 16 || via->rtvia_family != AF_INET6)
        return false;
    memcpy(out->byte, via->rtvia_addr, 16);
    return true;
}

int route_parse(const struct nlmsghdr *message, struct route_info *out)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attr;

    memset(out, 0, sizeof(*out));
    if ((message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE) ||
        !has_fixed(message, sizeof(*info)))
        return LOCKSTEP_E_BAD_FORMAT;
    out->type = info->rtm_type;
    mnl_attr_for_each(attr, message, sizeof(*info))
    {
        switch (mnl_attr_get_type(attr)) {
        case RTA_OIF:
            attr_u32(attr, &out->ifindex);
            break;
        case RTA_GATEWAY:
            out->has_gateway = attr_addr(attr, &out->gateway);
            break;
        case RTA_VIA:
            out->has_gateway = parse_via(attr, &out->gateway);
            break;
        case RTA_PREFSRC:
            out->has_source = attr_addr(attr, &out->source);
            break;
        case RTA_METRICS:
            parse_metrics(attr, out);
            break;
        }
    }
    return 0;
}

void multicast_mac(const struct net_addr *group, uint8_t mac[6])
{
    static const uint8_t v4_prefix[3] = {0x01, 0x00, 0x5e};

    if (net_addr_is_v4(group)) {
        memcpy(mac, v4_prefix, 3);
        memcpy(mac + 3, group->byte + 13, 3);
        mac[3] &= 0x7f;
    } else {
        mac[0] = mac[1] = 0x33;
        memcpy(mac + 2, group->byte + 12, 4);
    }
}
