/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_clients.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/list.h"

struct web_client {
    struct list link;
    int fd;
    bool answering, ended;
    uint64_t since_ns; /* of waiting for the request, or of answering */
};

struct web_clients {
    pthread_mutex_t lock;
    struct list all;
    uint64_t request_time_ns, answer_time_ns;
};

struct web_clients *web_clients_create(uint64_t request_time_ns, uint64_t answer_time_ns)
{
    struct web_clients *clients = calloc(1, sizeof *clients);

    if (!clients)
        return NULL;
    pthread_mutex_init(&clients->lock, NULL);
    list_init(&clients->all);
    clients->request_time_ns = request_time_ns;
    clients->answer_time_ns = answer_time_ns;
    return clients;
}

void web_clients_destroy(struct web_clients *clients)
{
    if (!clients)
        return;
    pthread_mutex_destroy(&clients->lock);
    free(clients);
}

struct web_client *web_clients_add(struct web_clients *clients, int fd, uint64_t now_ns)
{
    struct web_client *client = calloc(1, sizeof *client);

    if (!client)
        return NULL;
    client->fd = fd;
    client->since_ns = now_ns;
    pthread_mutex_lock(&clients->lock);
    list_push_back(&clients->all, &client->link);
    pthread_mutex_unlock(&clients->lock);
    return client;
}

void web_clients_remove(struct web_clients *clients, struct web_client *client)
{
    if (!client)
        return;
    pthread_mutex_lock(&clients->lock);
    list_remove(&client->link);
    pthread_mutex_unlock(&clients->lock);
    free(client);
}

static void set(struct web_clients *clients, struct web_client *client, bool answering, uint64_t now_ns)
{
    if (!client)
        return;
    pthread_mutex_lock(&clients->lock);
    client->answering = answering;
    client->since_ns = now_ns;
    pthread_mutex_unlock(&clients->lock);
}

void web_client_asked(struct web_clients *clients, struct web_client *client, uint64_t now_ns)
{
    set(clients, client, true, now_ns);
}

void web_client_answered(struct web_clients *clients, struct web_client *client, uint64_t now_ns)
{
    set(clients, client, false, now_ns);
}

unsigned web_clients_sweep(struct web_clients *clients, uint64_t now_ns)
{
    unsigned ended = 0;

    pthread_mutex_lock(&clients->lock);
    list_for_each(link, &clients->all)
    {
        struct web_client *client = list_entry(link, struct web_client, link);
        uint64_t limit = client->answering ? clients->answer_time_ns : clients->request_time_ns;

        if (client->ended || now_ns < client->since_ns || now_ns - client->since_ns < limit)
            continue;
        shutdown(client->fd, SHUT_RDWR);
        client->ended = true;
        ended++;
    }
    pthread_mutex_unlock(&clients->lock);
    return ended;
}
