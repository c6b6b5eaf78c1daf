/* SPDX-License-Identifier: BSD-2-Clause */
/* Other people's programs at an interface, and firewalls: rtnetlink(7), nfnetlink (linux/netfilter/nf_tables.h),
 * bpf(2). */
#include <net/if.h> /* before the kernel's own, which then leaves out what is the same */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "divert/divert_private.h"
#include "service/links.h"
#include "tools/doctor.h"

#define BUFFER 16384

typedef void (*message_fn)(void *context, const struct nlmsghdr *message);

/* Sends the request and gives each message of the answer to `handle`. 0 or a negated errno. */
static int netlink_ask(int bus, struct nlmsghdr *request, message_fn handle, void *context)
{
    struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
    char buffer[BUFFER];
    int err = 0;
    bool done = false;

    if (!socket)
        return -errno;
    request->nlmsg_seq = 1;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
        err = -errno;
    while (err == 0 && !done) {
        ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
        int left = (int)length;

        if (length <= 0) {
            err = length < 0 ? -errno : -EPIPE;
            break;
        }
        for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; !done && netlink_message_ok(message, left);
             message = mnl_nlmsg_next(message, &left)) {
            done = message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR;
            if (message->nlmsg_type == NLMSG_ERROR && mnl_nlmsg_get_payload_len(message) >= sizeof(int))
                err = *(const int *)mnl_nlmsg_get_payload(message);
            else if (!done)
                handle(context, message);
        }
    }
    mnl_socket_close(socket);
    return err;
}

/* ---- drivers ---- */

/* linux/netdev.h, which is newer than Debian 12's headers. */
#define NETDEV_FAMILY             "netdev"
#define NETDEV_COMMAND_GET        1
#define NETDEV_ATTRIBUTE_IFINDEX  1
#define NETDEV_ATTRIBUTE_FEATURES 3

struct generic_answer {
    unsigned attribute;
    uint64_t value;
    bool found;
};

static int take_number(const struct nlattr *attribute, void *context)
{
    struct generic_answer *answer = context;

    if (mnl_attr_get_type(attribute) != answer->attribute)
        return MNL_CB_OK;
    answer->found = true;
    answer->value = mnl_attr_get_payload_len(attribute) >= sizeof(uint64_t)   ? mnl_attr_get_u64(attribute)
                    : mnl_attr_get_payload_len(attribute) >= sizeof(uint16_t) ? mnl_attr_get_u16(attribute)
                                                                              : 0;
    return MNL_CB_OK;
}

static void take_generic(void *context, const struct nlmsghdr *message)
{
    if (mnl_nlmsg_get_payload_len(message) >= sizeof(struct genlmsghdr))
        mnl_attr_parse(message, sizeof(struct genlmsghdr), take_number, context);
}

/* A request of generic netlink's, of which one number is wanted (attribute, 16 or 64 bits). */
static int ask_generic(struct nlmsghdr *request, struct generic_answer *answer)
{
    int err = netlink_ask(NETLINK_GENERIC, request, take_generic, answer);

    return err < 0 ? err : answer->found ? 0 : -ENODATA;
}

static struct nlmsghdr *generic_request(void *buffer, unsigned family, unsigned command, unsigned version)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct genlmsghdr *head;

    request->nlmsg_type = (uint16_t)family;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    head = mnl_nlmsg_put_extra_header(request, sizeof *head);
    head->cmd = (uint8_t)command;
    head->version = (uint8_t)version;
    return request;
}

int doctor_read_xdp_features(unsigned ifindex, uint64_t *features)
{
    struct generic_answer family = {.attribute = CTRL_ATTR_FAMILY_ID};
    struct generic_answer device = {.attribute = NETDEV_ATTRIBUTE_FEATURES};
    char buffer[256] = {0};
    struct nlmsghdr *request = generic_request(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
    int err;

    mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
    err = ask_generic(request, &family);
    if (err < 0)
        return err;
    memset(buffer, 0, sizeof buffer);
    request = generic_request(buffer, (unsigned)family.value, NETDEV_COMMAND_GET, 1);
    mnl_attr_put_u32(request, NETDEV_ATTRIBUTE_IFINDEX, ifindex);
    err = ask_generic(request, &device);
    *features = device.value;
    return err;
}

/* ---- programs ---- */

static void add_program(struct doctor_programs *programs, enum doctor_place place, unsigned priority, unsigned id,
                        const char *name)
{
    struct doctor_program *program = &programs->list[programs->count];

    if (strncmp(name, DIVERT_PROGRAM_PREFIX, strlen(DIVERT_PROGRAM_PREFIX)) == 0) /* Lockstep's */
        return;
    for (size_t i = 0; i < programs->count; i++) { /* a filter is told by table and by rule */
        const struct doctor_program *known = &programs->list[i];

        if (known->place == place && known->priority == priority && known->id == id && strcmp(known->name, name) == 0)
            return;
    }
    if (programs->count == DOCTOR_LIST_MAX)
        return;
    *program = (struct doctor_program){.place = place, .priority = priority, .id = id};
    snprintf(program->name, sizeof program->name, "%s", name);
    programs->count++;
}

static void add_by_id(struct doctor_programs *programs, enum doctor_place place, unsigned id)
{
    char name[BPF_OBJ_NAME_LEN] = "";

    if (id != 0 && divert_program_name(id, name) < 0)
        programs->incomplete = true;
    if (id != 0)
        add_program(programs, place, 0, id, name);
}

struct attributes {
    const struct nlattr *of[32];
};

static int keep_attribute(const struct nlattr *attribute, void *context)
{
    struct attributes *attributes = context;
    unsigned type = mnl_attr_get_type(attribute);

    if (type < sizeof attributes->of / sizeof *attributes->of)
        attributes->of[type] = attribute;
    return MNL_CB_OK;
}

/* A text attribute, cut to size; "" if it is not there. */
static const char *attribute_text(const struct nlattr *attribute, char *text, size_t size)
{
    size_t length = attribute ? mnl_attr_get_payload_len(attribute) : 0;

    text[0] = '\0';
    if (length > 0)
        snprintf(text, size, "%.*s", (int)strnlen(mnl_attr_get_payload(attribute), length),
                 (const char *)mnl_attr_get_payload(attribute));
    return text;
}

static unsigned attribute_number(const struct nlattr *attribute)
{
    return attribute && mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t) ? mnl_attr_get_u32(attribute) : 0;
}

void doctor_parse_filter(const struct nlmsghdr *message, unsigned ifindex, enum doctor_place place,
                         struct doctor_programs *out)
{
    struct attributes outer = {0}, inner = {0};
    const struct tcmsg *head = mnl_nlmsg_get_payload(message);
    char kind[32], name[64];

    if (message->nlmsg_type != RTM_NEWTFILTER || mnl_nlmsg_get_payload_len(message) < sizeof *head ||
        head->tcm_ifindex != (int)ifindex || head->tcm_handle == 0) /* without a handle: the whole chain's head */
        return;
    mnl_attr_parse(message, sizeof *head, keep_attribute, &outer);
    attribute_text(outer.of[TCA_KIND], kind, sizeof kind);
    if (strcmp(kind, "bpf") == 0 && outer.of[TCA_OPTIONS])
        mnl_attr_parse_nested(outer.of[TCA_OPTIONS], keep_attribute, &inner);
    attribute_text(inner.of[TCA_BPF_NAME], name, sizeof name);
    add_program(out, place, head->tcm_info >> 16, attribute_number(inner.of[TCA_BPF_ID]), name[0] ? name : kind);
}

struct filter_walk {
    unsigned ifindex;
    enum doctor_place place;
    struct doctor_programs *out;
};

static void take_filter(void *context, const struct nlmsghdr *message)
{
    const struct filter_walk *walk = context;

    doctor_parse_filter(message, walk->ifindex, walk->place, walk->out);
}

static void read_filters(unsigned ifindex, unsigned parent, enum doctor_place place, struct doctor_programs *out)
{
    struct filter_walk walk = {ifindex, place, out};
    char buffer[256] = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct tcmsg *head;

    request->nlmsg_type = RTM_GETTFILTER;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    head = mnl_nlmsg_put_extra_header(request, sizeof *head);
    head->tcm_family = AF_UNSPEC;
    head->tcm_ifindex = (int)ifindex;
    head->tcm_parent = parent;
    /* An error means that there are no such hooks. */
    netlink_ask(NETLINK_ROUTE, request, take_filter, &walk);
}

/* Programs at the tcx hook of kernel 6.6 and later, which come before tc's filters. The headers of older kernels do not
 * know it: BPF_TCX_INGRESS is 46 (linux/bpf.h). */
static void read_tcx(unsigned ifindex, struct doctor_programs *out)
{
    uint32_t ids[DOCTOR_LIST_MAX] = {0};
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = ifindex;
    attributes.query.attach_type = 46;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.query.prog_cnt = DOCTOR_LIST_MAX;
    if (syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof attributes) < 0) {
        out->incomplete |= errno == EPERM;
        return;
    }
    for (unsigned i = 0; i < attributes.query.prog_cnt && i < DOCTOR_LIST_MAX; i++)
        add_by_id(out, DOCTOR_TCX, ids[i]);
}

void doctor_read_programs(unsigned ifindex, struct doctor_programs *out)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, xdp);

    memset(out, 0, sizeof *out);
    if (bpf_xdp_query((int)ifindex, 0, &xdp) == 0)
        add_by_id(out, DOCTOR_XDP, xdp.prog_id ? xdp.prog_id : xdp.drv_prog_id ? xdp.drv_prog_id : xdp.skb_prog_id);
    read_tcx(ifindex, out);
    read_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), DOCTOR_TC_INGRESS, out);
    read_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), DOCTOR_TC_EGRESS, out);
}

/* ---- firewalls ---- */

static void add_chain(struct doctor_firewall *firewall, const char *name, bool output, bool drops, unsigned rules)
{
    struct doctor_chain *chain = &firewall->list[firewall->count];

    if (firewall->count == DOCTOR_LIST_MAX || (rules == 0 && !drops))
        return;
    *chain = (struct doctor_chain){.output = output, .drops = drops, .rules = rules};
    snprintf(chain->name, sizeof chain->name, "%s", name);
    firewall->count++;
}

/* Whether diverted or injected packets would have passed the hook. */
static bool hook_matters(unsigned family, unsigned hook, bool *output)
{
    *output = hook == NF_INET_LOCAL_OUT || hook == NF_INET_POST_ROUTING;
    if (family == NFPROTO_NETDEV)
        return hook == NF_NETDEV_INGRESS;
    return (family == NFPROTO_INET || family == NFPROTO_IPV4 || family == NFPROTO_IPV6) &&
           (*output || hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_IN || hook == NF_INET_INGRESS);
}

static const char *family_name(unsigned family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "netdev";
}

/* A base chain is used by nothing but its rules. */
void doctor_parse_chain(const struct nlmsghdr *message, struct doctor_firewall *out)
{
    const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
    struct attributes outer = {0}, hook = {0};
    char table[64], chain[64], name[160];
    bool output, drops;

    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
        mnl_nlmsg_get_payload_len(message) < sizeof *head)
        return;
    mnl_attr_parse(message, sizeof *head, keep_attribute, &outer);
    if (!outer.of[NFTA_CHAIN_HOOK])
        return;
    mnl_attr_parse_nested(outer.of[NFTA_CHAIN_HOOK], keep_attribute, &hook);
    if (!hook.of[NFTA_HOOK_HOOKNUM] ||
        !hook_matters(head->nfgen_family, ntohl(attribute_number(hook.of[NFTA_HOOK_HOOKNUM])), &output))
        return;
    snprintf(name, sizeof name, "%s %s %s", family_name(head->nfgen_family),
             attribute_text(outer.of[NFTA_CHAIN_TABLE], table, sizeof table),
             attribute_text(outer.of[NFTA_CHAIN_NAME], chain, sizeof chain));
    drops = outer.of[NFTA_CHAIN_POLICY] && ntohl(attribute_number(outer.of[NFTA_CHAIN_POLICY])) == NF_DROP;
    add_chain(out, name, output, drops, ntohl(attribute_number(outer.of[NFTA_CHAIN_USE])));
}

static void take_chain(void *context, const struct nlmsghdr *message)
{
    doctor_parse_chain(message, context);
}

static int read_nftables(struct doctor_firewall *out)
{
    char buffer[256] = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *head;
    int err;

    request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    head = mnl_nlmsg_put_extra_header(request, sizeof *head);
    head->nfgen_family = AF_UNSPEC;
    head->version = NFNETLINK_V0;
    err = netlink_ask(NETLINK_NETFILTER, request, take_chain, out);
    /* A kernel without netfilter or nf_tables has no rules. */
    return err == -EPROTONOSUPPORT || err == -EINVAL || err == -EOPNOTSUPP ? 0 : err;
}

/* The older iptables: rules are counted with a table's chains, each of which ends in its policy, and an error entry.
 * Only tables that are in the list are asked for, because asking for another one would make it. */
static void read_legacy(int family, const char *list, int level, int request, const char *label,
                        struct doctor_firewall *out)
{
    FILE *file = fopen(list, "re");
    char table[XT_TABLE_MAXNAMELEN], name[64];
    int fd = file ? socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW) : -1;

    while (fd >= 0 && fgets(table, sizeof table, file)) {
        struct ipt_getinfo info = {0}; /* ip6t_getinfo is the same */
        socklen_t length = sizeof info;
        unsigned chains;

        table[strcspn(table, "\n")] = '\0';
        strcpy(info.name, table);
        if (getsockopt(fd, level, request, &info, &length) < 0)
            continue;
        chains = (unsigned)__builtin_popcount(info.valid_hooks);
        snprintf(name, sizeof name, "%s %s", label, table);
        if (info.num_entries > chains + 1)
            add_chain(out, name, false, false, info.num_entries - chains - 1);
    }
    if (fd >= 0)
        close(fd);
    if (file)
        fclose(file);
}

void doctor_read_firewall(struct doctor_firewall *out)
{
    memset(out, 0, sizeof *out);
    out->err = read_nftables(out);
    read_legacy(AF_INET, "/proc/net/ip_tables_names", SOL_IP, IPT_SO_GET_INFO, "iptables", out);
    read_legacy(AF_INET6, "/proc/net/ip6_tables_names", SOL_IPV6, IP6T_SO_GET_INFO, "ip6tables", out);
}
