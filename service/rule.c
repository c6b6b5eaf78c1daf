/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/rule.h"

#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define LOOKUP_BYTES 65536 /* of a group with many members */

const char *const rule_action_names[] = {"accelerate", "kernel", NULL};
const char *const rule_direction_names[] = {"connect", "listen", "multicast", NULL};
const char *const rule_injector_names[] = {"auto", "guarded", "direct", NULL};
const char *const rule_protocol_names[] = {"tcp", "udp", NULL};

/* --- names -------------------------------------------------------------------------------------------------- */

static bool find_user(const char *name, uint32_t *id)
{
    struct passwd entry, *found = NULL;
    char *buffer = malloc(LOOKUP_BYTES);

    if (buffer && getpwnam_r(name, &entry, buffer, LOOKUP_BYTES, &found) == 0 && found)
        *id = found->pw_uid;
    free(buffer);
    return found;
}

static bool find_group(const char *name, uint32_t *id)
{
    struct group entry, *found = NULL;
    char *buffer = malloc(LOOKUP_BYTES);

    if (buffer && getgrnam_r(name, &entry, buffer, LOOKUP_BYTES, &found) == 0 && found)
        *id = found->gr_gid;
    free(buffer);
    return found;
}

const struct rule_names rule_system_names = {find_user, find_group};

/* --- items of lists ----------------------------------------------------------------------------------------- */

static int complain(char *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(char *problem, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, VALUE_PROBLEM_MAX, format, arguments);
    va_end(arguments);
    return LOCKSTEP_E_BAD_VALUE;
}

static int too_many(char *problem, unsigned most)
{
    return complain(problem, "is one too many (at most %u)", most);
}

static bool is_number(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* By number, or by name. what: "user". */
static int add_id(const char *item, struct rule_ids *ids, bool (*find)(const char *, uint32_t *), const char *what,
                  char *problem)
{
    struct rule_id *id = &ids->item[ids->count];
    unsigned long number;

    if (ids->count == RULE_IDS_MAX)
        return too_many(problem, RULE_IDS_MAX);
    if (strlen(item) >= sizeof id->name)
        return complain(problem, "is longer than %zu characters", sizeof id->name - 1);
    snprintf(id->name, sizeof id->name, "%s", item);
    if (is_number(item)) {
        number = strtoul(item, NULL, 10);
        if (strlen(item) > 10 || number >= UINT32_MAX)
            return complain(problem, "is not a %s's number: must be 0 to %u", what, UINT32_MAX - 1);
        id->id = (uint32_t)number;
    } else if (!find(item, &id->id)) {
        return complain(problem, "is not known: there is no %s of this name", what);
    }
    ids->count++;
    return 0;
}

int rule_add_user(const char *item, void *field, void *object, char *problem)
{
    const struct rule_names *const *names = object;

    return add_id(item, field, (*names)->user, "user", problem);
}

static int add_group(const char *item, void *field, void *object, char *problem)
{
    const struct rule_names *const *names = object;

    return add_id(item, field, (*names)->group, "group", problem);
}

/* fnmatch(3) takes a bracket that is not closed for itself, which nobody means. */
static const char *wrong_pattern(const char *pattern)
{
    for (const char *p = pattern; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == '\x7f')
            return "has a control character";
        if (*p == ';')
            return "has a ;, which begins a comment: write ?";
        if (*p == '\\' && !*++p)
            return "ends in a backslash";
        if (*p == '[') {
            p += p[1] == '!' || p[1] == '^' ? 2 : 1;
            if (*p) /* a bracket that comes first is itself */
                p++;
            while (*p && *p != ']')
                p++;
            if (!*p)
                return "has a [ that no ] closes";
        }
    }
    return NULL;
}

static int add_program(const char *item, void *field, void *object, char *problem)
{
    struct rule_texts *texts = field;
    const char *wrong = wrong_pattern(item);

    (void)object;
    if (texts->count == RULE_PROGRAMS_MAX)
        return too_many(problem, RULE_PROGRAMS_MAX);
    if (wrong)
        return complain(problem, "%s", wrong);
    if (strchr(item, '/') && *item != '/' && *item != '*')
        return complain(problem, "is neither an absolute path nor a name without /");
    snprintf(texts->item[texts->count++], VALUE_ITEM_MAX, "%s", item);
    return 0;
}

int rule_check_interface(const char *name, char *problem)
{
    if (*name && strlen(name) <= 15 && !strpbrk(name, "/;# \t"))
        return 0;
    return complain(problem, "is not an interface's name: 1 to 15 characters without blanks, /, ; and #");
}

static int add_interface(const char *item, void *field, void *object, char *problem)
{
    struct rule_texts *texts = field;

    (void)object;
    if (texts->count == RULE_PROGRAMS_MAX)
        return too_many(problem, RULE_PROGRAMS_MAX);
    if (rule_check_interface(item, problem) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    snprintf(texts->item[texts->count++], VALUE_ITEM_MAX, "%s", item);
    return 0;
}

/* One of the names sets its bit. */
static int add_name(const char *item, const char *const *names, unsigned *bits, char *problem)
{
    const struct value_spec spec = {.type = VALUE_TYPE_ENUM, .names = names};
    int index, err = value_parse(&spec, item, &index, problem);

    if (err == 0)
        *bits |= 1u << index;
    return err;
}

static int add_protocol(const char *item, void *field, void *object, char *problem)
{
    (void)object;
    return add_name(item, rule_protocol_names, field, problem);
}

static int add_direction(const char *item, void *field, void *object, char *problem)
{
    (void)object;
    return add_name(item, rule_direction_names, field, problem);
}

/* The number that ends at `end`; 0: there is none from 1 to 65535. */
static uint16_t port_number(const char *text, const char *end)
{
    size_t length = (size_t)(end - text);
    unsigned long number;

    if (length == 0 || length > 5 || strspn(text, "0123456789") < length)
        return 0;
    number = strtoul(text, NULL, 10);
    return number > UINT16_MAX ? 0 : (uint16_t)number;
}

static int add_port(const char *item, void *field, void *object, char *problem)
{
    struct rule_ports *ports = field;
    const char *dash = strchr(item, '-'), *end = item + strlen(item);
    struct rule_port_range range;

    (void)object;
    if (ports->count == RULE_ITEMS_MAX)
        return too_many(problem, RULE_ITEMS_MAX);
    range.first = port_number(item, dash ? dash : end);
    range.last = dash ? port_number(dash + 1, end) : range.first;
    if (range.first == 0 || range.last == 0)
        return complain(problem, "must be a port, 1 to 65535, or a range such as 8000-8999");
    if (range.first > range.last)
        return complain(problem, "ends before it begins");
    ports->item[ports->count++] = range;
    return 0;
}

static int add_network(const char *item, void *field, void *object, char *problem)
{
    struct rule_networks *networks = field;
    struct net_network network, right;
    char text[NET_NETWORK_TEXT_MAX];

    (void)object;
    if (networks->count == RULE_ITEMS_MAX)
        return too_many(problem, RULE_ITEMS_MAX);
    if (net_network_parse(item, &network) < 0)
        return complain(problem, "must be a network such as 192.0.2.0/24 or 2001:db8::/32, or an address");
    right = (struct net_network){net_network_first(&network), network.prefix};
    if (!net_addr_equal(&right.address, &network.address))
        return complain(problem, "has bits behind the prefix: write %s", net_network_format(&right, text));
    networks->item[networks->count++] = network;
    return 0;
}

const struct config_key rule_keys[] = {
    {"program",
     "Pattern (glob(7)) of the executable's absolute path, or of its name if the pattern has no /.",
     {VALUE_LIST(struct rule, programs, add_program)}},
    {"user", "User, name or number.", {VALUE_LIST(struct rule, users, rule_add_user)}},
    {"group", "Group, name or number, effective or supplementary.", {VALUE_LIST(struct rule, groups, add_group)}},
    {"protocol", "tcp or udp.", {VALUE_LIST(struct rule, protocols, add_protocol)}},
    {"direction", "connect, listen or multicast.", {VALUE_LIST(struct rule, directions, add_direction)}},
    {"local-port", "Port or range of this side.", {VALUE_LIST(struct rule, local_ports, add_port)}},
    {"remote-port", "Port or range of the peer.", {VALUE_LIST(struct rule, remote_ports, add_port)}},
    {"local-network", "Network of this side's address.", {VALUE_LIST(struct rule, local_networks, add_network)}},
    {"remote-network", "Network of the peer's address.", {VALUE_LIST(struct rule, remote_networks, add_network)}},
    {"interface", "Interface that the packets take.", {VALUE_LIST(struct rule, interfaces, add_interface)}},
    {"action", "What happens.", {VALUE_ENUM(struct rule, action, rule_action_names), .required = true}},
    {"injector",
     "The injector for these programs.",
     {VALUE_ENUM(struct rule, injector, rule_injector_names), .initial = "auto"}},
    {"ring-bytes",
     "Size of the ring of these programs' lanes; 0: as for all.",
     {VALUE_SIZE(struct rule, ring_bytes), .min = 65536, .max = 1 << 28}},
    {0},
};

/* --- matching ----------------------------------------------------------------------------------------------- */

bool rule_ids_contain(const struct rule_ids *ids, uint32_t id)
{
    for (unsigned i = 0; i < ids->count; i++) {
        if (ids->item[i].id == id)
            return true;
    }
    return false;
}

static bool match_program(const struct rule *rule, const struct rule_query *query)
{
    const char *slash = strrchr(query->program, '/'), *name = slash ? slash + 1 : query->program;

    for (unsigned i = 0; i < rule->programs.count && *query->program; i++) {
        const char *pattern = rule->programs.item[i];

        if (fnmatch(pattern, strchr(pattern, '/') ? query->program : name, 0) == 0)
            return true;
    }
    return false;
}

static bool match_user(const struct rule *rule, const struct rule_query *query)
{
    return rule_ids_contain(&rule->users, query->uid);
}

static bool match_group(const struct rule *rule, const struct rule_query *query)
{
    for (size_t i = 0; i < query->group_count; i++) {
        if (rule_ids_contain(&rule->groups, query->groups[i]))
            return true;
    }
    return false;
}

static bool match_protocol(const struct rule *rule, const struct rule_query *query)
{
    return rule->protocols & 1u << query->protocol;
}

static bool match_direction(const struct rule *rule, const struct rule_query *query)
{
    return rule->directions & 1u << query->direction;
}

static bool match_port(const struct rule_ports *ports, uint16_t port)
{
    for (unsigned i = 0; i < ports->count; i++) {
        if (port >= ports->item[i].first && port <= ports->item[i].last)
            return true;
    }
    return false;
}

static bool match_local_port(const struct rule *rule, const struct rule_query *query)
{
    return match_port(&rule->local_ports, query->local.port);
}

static bool match_remote_port(const struct rule *rule, const struct rule_query *query)
{
    return query->direction == RULE_CONNECT && match_port(&rule->remote_ports, query->remote.port);
}

/* The wildcard address stands for all: it is in the network of all addresses only. */
static bool match_network(const struct rule_networks *networks, const struct net_addr *address)
{
    bool any = net_addr_is_any(address);

    for (unsigned i = 0; i < networks->count; i++) {
        if (net_network_contains(&networks->item[i], address) && (!any || networks->item[i].prefix == 0))
            return true;
    }
    return false;
}

static bool match_local_network(const struct rule *rule, const struct rule_query *query)
{
    return match_network(&rule->local_networks, &query->local.addr);
}

static bool match_remote_network(const struct rule *rule, const struct rule_query *query)
{
    return query->direction == RULE_CONNECT && match_network(&rule->remote_networks, &query->remote.addr);
}

static bool match_interface(const struct rule *rule, const struct rule_query *query)
{
    for (unsigned i = 0; i < rule->interfaces.count; i++) {
        if (strcmp(rule->interfaces.item[i], query->interface) == 0)
            return true;
    }
    return false;
}

static const struct {
    const char *name;
    size_t count; /* offset of the field that is not 0 if the rule has this condition: an unsigned */
    bool (*matches)(const struct rule *rule, const struct rule_query *query);
} conditions[RULE_CONDITIONS] = {
    [RULE_PROGRAM] = {"program", offsetof(struct rule, programs.count), match_program},
    [RULE_USER] = {"user", offsetof(struct rule, users.count), match_user},
    [RULE_GROUP] = {"group", offsetof(struct rule, groups.count), match_group},
    [RULE_PROTOCOL] = {"protocol", offsetof(struct rule, protocols), match_protocol},
    [RULE_DIRECTION] = {"direction", offsetof(struct rule, directions), match_direction},
    [RULE_LOCAL_PORT] = {"local-port", offsetof(struct rule, local_ports.count), match_local_port},
    [RULE_REMOTE_PORT] = {"remote-port", offsetof(struct rule, remote_ports.count), match_remote_port},
    [RULE_LOCAL_NETWORK] = {"local-network", offsetof(struct rule, local_networks.count), match_local_network},
    [RULE_REMOTE_NETWORK] = {"remote-network", offsetof(struct rule, remote_networks.count), match_remote_network},
    [RULE_INTERFACE] = {"interface", offsetof(struct rule, interfaces.count), match_interface},
};

static bool has_condition(const struct rule *rule, enum rule_condition which)
{
    return *(const unsigned *)(const void *)((const char *)rule + conditions[which].count) != 0;
}

enum rule_outcome rule_match(const struct rule *rule, const struct rule_query *query, enum rule_condition *which)
{
    for (*which = 0; *which < RULE_CONDITIONS; ++*which) {
        if (!has_condition(rule, *which))
            continue;
        if (*which >= RULE_OF_PROGRAM && !query->socket)
            return RULE_DEPENDS;
        if (!conditions[*which].matches(rule, query))
            return RULE_MISSES;
    }
    return RULE_MATCHES;
}

/* --- checks over several keys ------------------------------------------------------------------------------- */

static bool depends_on_socket(const struct rule *rule)
{
    for (enum rule_condition which = RULE_OF_PROGRAM; which < RULE_CONDITIONS; which++) {
        if (has_condition(rule, which))
            return true;
    }
    return false;
}

int rule_check(void *root, void *object, char *problem)
{
    const struct rule *rule = object;
    bool of_lane = rule->injector != RULE_INJECTOR_AUTO || rule->ring_bytes;
    const char *key = rule->ring_bytes ? "ring-bytes" : "injector";
    bool connects = !rule->directions || rule->directions & 1u << RULE_CONNECT;

    (void)root;
    if (of_lane && rule->action == RULE_KERNEL)
        return complain(problem, "%s: without effect when action = kernel", key);
    if (of_lane && depends_on_socket(rule))
        return complain(problem,
                        "%s: is a program's: not in a rule with protocol, direction, port, network or interface", key);
    if (rule->injector == RULE_INJECTOR_DIRECT && has_condition(rule, RULE_PROGRAM) &&
        !has_condition(rule, RULE_USER) && !has_condition(rule, RULE_GROUP))
        return complain(problem, "injector: direct, with which a program may send and hear anything, needs user or "
                                 "group: anybody can run or copy a program");
    if (!connects && (has_condition(rule, RULE_REMOTE_PORT) || has_condition(rule, RULE_REMOTE_NETWORK)))
        return complain(problem, "direction: must be connect with %s: other sockets have no peer yet",
                        has_condition(rule, RULE_REMOTE_PORT) ? "remote-port" : "remote-network");
    if (rule->directions == 1u << RULE_MULTICAST && rule->protocols == 1u << 0)
        return complain(problem, "direction: multicast is never tcp");
    return 0;
}

/* --- text --------------------------------------------------------------------------------------------------- */

const char *rule_condition_name(enum rule_condition which)
{
    return conditions[which].name;
}

struct text {
    char *text;
    size_t size, used;
};

/* One more item of "a, b". */
static void add_text(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_text(struct text *text, const char *format, ...)
{
    va_list arguments;

    if (text->used > 0 && text->used < text->size)
        text->used += (size_t)snprintf(text->text + text->used, text->size - text->used, ", ");
    if (text->used >= text->size)
        return;
    va_start(arguments, format);
    text->used += (size_t)vsnprintf(text->text + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
}

static void add_ids(struct text *text, const struct rule_ids *ids)
{
    for (unsigned i = 0; i < ids->count; i++)
        add_text(text, "%s", ids->item[i].name);
}

static void add_texts(struct text *text, const struct rule_texts *texts)
{
    for (unsigned i = 0; i < texts->count; i++)
        add_text(text, "%s", texts->item[i]);
}

static void add_bits(struct text *text, unsigned bits, const char *const *names)
{
    for (unsigned i = 0; names[i]; i++) {
        if (bits & 1u << i)
            add_text(text, "%s", names[i]);
    }
}

static void add_ports(struct text *text, const struct rule_ports *ports)
{
    for (unsigned i = 0; i < ports->count; i++) {
        if (ports->item[i].first == ports->item[i].last)
            add_text(text, "%u", ports->item[i].first);
        else
            add_text(text, "%u-%u", ports->item[i].first, ports->item[i].last);
    }
}

static void add_networks(struct text *text, const struct rule_networks *networks)
{
    char network[NET_NETWORK_TEXT_MAX];

    for (unsigned i = 0; i < networks->count; i++)
        add_text(text, "%s", net_network_format(&networks->item[i], network));
}

const char *rule_condition_text(const struct rule *rule, enum rule_condition which, char *text, size_t size)
{
    struct text out = {text, size, 0};

    *text = '\0';
    switch (which) {
    case RULE_PROGRAM:
        add_texts(&out, &rule->programs);
        break;
    case RULE_USER:
        add_ids(&out, &rule->users);
        break;
    case RULE_GROUP:
        add_ids(&out, &rule->groups);
        break;
    case RULE_PROTOCOL:
        add_bits(&out, rule->protocols, rule_protocol_names);
        break;
    case RULE_DIRECTION:
        add_bits(&out, rule->directions, rule_direction_names);
        break;
    case RULE_LOCAL_PORT:
        add_ports(&out, &rule->local_ports);
        break;
    case RULE_REMOTE_PORT:
        add_ports(&out, &rule->remote_ports);
        break;
    case RULE_LOCAL_NETWORK:
        add_networks(&out, &rule->local_networks);
        break;
    case RULE_REMOTE_NETWORK:
        add_networks(&out, &rule->remote_networks);
        break;
    case RULE_INTERFACE:
        add_texts(&out, &rule->interfaces);
        break;
    case RULE_CONDITIONS:
        break;
    }
    return text;
}

/* A socket that does not connect has no peer when it is decided on. */
static void add_peer(struct text *out, const struct rule_query *query, bool port)
{
    char address[NET_ADDR_TEXT_MAX];

    if (query->direction != RULE_CONNECT)
        add_text(out, "none yet");
    else if (port)
        add_text(out, "%u", query->remote.port);
    else
        add_text(out, "%s", net_addr_format(&query->remote.addr, address));
}

const char *rule_query_text(const struct rule_query *query, enum rule_condition which, char *text, size_t size)
{
    struct text out = {text, size, 0};
    char address[NET_ADDR_TEXT_MAX];

    *text = '\0';
    switch (which) {
    case RULE_PROGRAM:
        add_text(&out, "%s", *query->program ? query->program : "not known");
        break;
    case RULE_USER:
        add_text(&out, "%u", query->uid);
        break;
    case RULE_GROUP:
        for (size_t i = 0; i < query->group_count; i++)
            add_text(&out, "%u", query->groups[i]);
        break;
    case RULE_PROTOCOL:
        add_text(&out, "%s", rule_protocol_names[query->protocol]);
        break;
    case RULE_DIRECTION:
        add_text(&out, "%s", rule_direction_names[query->direction]);
        break;
    case RULE_LOCAL_PORT:
        add_text(&out, query->local.port ? "%u" : "not known", query->local.port);
        break;
    case RULE_LOCAL_NETWORK:
        add_text(&out, "%s", net_addr_format(&query->local.addr, address));
        break;
    case RULE_REMOTE_PORT:
    case RULE_REMOTE_NETWORK:
        add_peer(&out, query, which == RULE_REMOTE_PORT);
        break;
    case RULE_INTERFACE:
        add_text(&out, "%s", *query->interface ? query->interface : "not known, or any");
        break;
    case RULE_CONDITIONS:
        break;
    }
    return text;
}

#define LINE_MAX_BYTES 100 /* the parser takes twice that */

/* "key = a, b" in as many lines as it takes. */
static void print_list(FILE *out, const char *key, const char *text)
{
    while (*text) {
        size_t length = strlen(text), next = length;

        if (length > LINE_MAX_BYTES) { /* at the last comma that fits, or the first */
            for (const char *comma = strstr(text, ", "); comma; comma = strstr(comma + 1, ", ")) {
                if (next < length && comma - text > LINE_MAX_BYTES)
                    break;
                next = (size_t)(comma - text);
            }
        }
        fprintf(out, "%s = %.*s\n", key, (int)next, text);
        text += next < length ? next + 2 : next;
    }
}

static void print_numbers(FILE *out, const char *what, const struct rule_ids *ids)
{
    for (unsigned i = 0; i < ids->count; i++) {
        if (!is_number(ids->item[i].name))
            fprintf(out, "# %s %s is %u\n", what, ids->item[i].name, ids->item[i].id);
    }
}

void rule_ids_print(FILE *out, const char *key, const struct rule_ids *ids)
{
    char text[RULE_TEXT_MAX];
    struct text list = {text, sizeof text, 0};

    *text = '\0';
    add_ids(&list, ids);
    print_list(out, key, text);
    print_numbers(out, "user", ids);
}

void rule_print(const struct rule *rule, FILE *out)
{
    char text[RULE_TEXT_MAX];

    fprintf(out, "[rule %s]\n", rule->name);
    for (enum rule_condition which = 0; which < RULE_CONDITIONS; which++)
        print_list(out, conditions[which].name, rule_condition_text(rule, which, text, sizeof text));
    print_numbers(out, "user", &rule->users);
    print_numbers(out, "group", &rule->groups);
    fprintf(out, "action = %s\n", rule_action_names[rule->action]);
    if (rule->injector != RULE_INJECTOR_AUTO)
        fprintf(out, "injector = %s\n", rule_injector_names[rule->injector]);
    if (rule->ring_bytes)
        fprintf(out, "ring-bytes = %llu\n", (unsigned long long)rule->ring_bytes);
}
