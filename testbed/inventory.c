/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/inventory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "testbed/channel.h"

#define FILE_MAX (256 << 10)

static const struct config_key testbed_keys[] = {
    {"key", "File with the shared key of the control connections.", {VALUE_TEXT(struct inventory, key_file)}},
    {"certificate", "The controller's certificate (PEM).", {VALUE_TEXT(struct inventory, certificate)}},
    {"certificate-key", "Its private key (PEM).", {VALUE_TEXT(struct inventory, certificate_key)}},
    {"authority", "Certificates to trust (PEM).", {VALUE_TEXT(struct inventory, authority)}},
    {"mtu",
     "MTU of the tested network.",
     {VALUE_INT(struct inventory, mtu), .initial = "1500", .min = 576, .max = 65535}},
    {0},
};

static const struct config_key node_keys[] = {
    {"address", "The node's address in the tested network.", {VALUE_TEXT(struct inventory_node, address_text)}},
    {"control", "Name or address of its listener. Default: address.", {VALUE_TEXT(struct inventory_node, control)}},
    {"control-port",
     "Port of its listener.",
     {VALUE_INT(struct inventory_node, control_port), .initial = "4077", .min = 1, .max = 65535}},
    {"rate",
     "Bits a second of its link; 0: not known. Suffixes count by 1024, so write 1000000000 for 1 Gb/s.",
     {VALUE_SIZE(struct inventory_node, rate_bits_per_s), .initial = "0"}},
    {"sends",
     "Types without a sender may be placed here.",
     {VALUE_BOOL(struct inventory_node, sends), .initial = "yes"}},
    {"receives",
     "Types without a receiver may be placed here.",
     {VALUE_BOOL(struct inventory_node, receives), .initial = "yes"}},
    {"clock",
     "Segment of its Lockstep clock. Default: the usual one.",
     {VALUE_TEXT(struct inventory_node, clock_path)}},
    {0},
};

/* A label that cannot be a node's name, or one too many, is refused. */
static void *begin_node(void *root, const char *label, int line, char *problem)
{
    struct inventory *inventory = root;
    struct inventory_node *node;
    size_t length = strlen(label);

    (void)line;
    snprintf(problem, VALUE_PROBLEM_MAX, "needs a name of 1 to %d letters, digits, - and _, and at most %d nodes",
             PATTERN_NODE_MAX - 1, SCHEDULE_NODES_MAX);
    if (length == 0 || length >= PATTERN_NODE_MAX || inventory->node_count == SCHEDULE_NODES_MAX ||
        strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != length)
        return NULL;
    for (unsigned i = 0; i < inventory->node_count; i++) {
        if (strcmp(inventory->nodes[i].name, label) == 0) {
            snprintf(problem, VALUE_PROBLEM_MAX, "there is one of this name already");
            return NULL;
        }
    }
    node = &inventory->nodes[inventory->node_count++];
    memcpy(node->name, label, length + 1);
    return node;
}

static const struct config_section sections[] = {
    {"testbed", testbed_keys, NULL, NULL, NULL},
    {"node", node_keys, begin_node, NULL, NULL},
    {0},
};

static int complain(char *problem, const char *file_name, const char *node, const char *what)
{
    snprintf(problem, CONFIG_PROBLEM_MAX, "%s: %s%s%s", file_name, node ? node : "", node ? ": " : "", what);
    return LOCKSTEP_E_BAD_VALUE;
}

static int check_node(const char *file_name, struct inventory_node *node, char *problem)
{
    if (!node->address_text[0])
        return complain(problem, file_name, node->name, "address: missing");
    if (net_addr_parse(node->address_text, &node->address) < 0 || net_addr_is_any(&node->address) ||
        net_addr_is_multicast(&node->address))
        return complain(problem, file_name, node->name, "address: not an address of a host");
    if (!node->control[0])
        net_addr_format(&node->address, node->control);
    return 0;
}

static int check(const char *file_name, struct inventory *inventory, char *problem)
{
    bool certificates = inventory->certificate[0] && inventory->certificate_key[0] && inventory->authority[0];

    if (!inventory->key_file[0] && !certificates)
        return complain(problem, file_name, NULL, "[testbed] needs key, or certificate, certificate-key and authority");
    if (inventory->node_count < 2)
        return complain(problem, file_name, NULL, "a test bed needs two [node NAME] sections at least");
    for (unsigned i = 0; i < inventory->node_count; i++) {
        int err = check_node(file_name, &inventory->nodes[i], problem);

        if (err < 0)
            return err;
        if (net_addr_is_v4(&inventory->nodes[i].address) != net_addr_is_v4(&inventory->nodes[0].address))
            return complain(problem, file_name, inventory->nodes[i].name, "address: IPv4 and IPv6 are mixed");
    }
    return 0;
}

int inventory_parse(const char *file_name, const char *text, size_t length, struct inventory *out, char *problem)
{
    int err;

    memset(out, 0, sizeof *out);
    config_set_initial(sections, out);
    err = config_parse(sections, file_name, text, length, out, problem);
    return err < 0 ? err : check(file_name, out, problem);
}

int inventory_load(const char *path, struct inventory *out, char *problem)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(FILE_MAX) : NULL;
    size_t length;
    int err;

    if (!text) {
        err = -errno;
        snprintf(problem, CONFIG_PROBLEM_MAX, "cannot read %s: %s", path, strerror(errno));
        if (file)
            fclose(file);
        return err;
    }
    length = fread(text, 1, FILE_MAX, file);
    fclose(file);
    err = length == FILE_MAX ? complain(problem, path, NULL, "too long")
                             : inventory_parse(path, text, length, out, problem);
    free(text);
    return err;
}

void inventory_network(const struct inventory *inventory, struct schedule_network *out)
{
    memset(out, 0, sizeof *out);
    out->mtu = (uint32_t)inventory->mtu;
    out->count = inventory->node_count;
    for (unsigned i = 0; i < inventory->node_count; i++) {
        const struct inventory_node *node = &inventory->nodes[i];

        memcpy(out->nodes[i].name, node->name, sizeof out->nodes[i].name);
        out->nodes[i].sends = node->sends;
        out->nodes[i].receives = node->receives;
        out->nodes[i].uplink_bits_per_s = out->nodes[i].port_bits_per_s = (double)node->rate_bits_per_s;
    }
}
