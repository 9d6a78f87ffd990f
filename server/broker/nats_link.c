#include "broker/nats_link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    CONNECT_MS_MAX = 1000, /* what an attempt may hold the thread up */
    WRITE_MS_MAX = 1000,   /* likewise a socket that takes nothing */
    PINGS_OUT = 2,
    SERVER_ID_MAX = 256,
    URL_MAX = NATS_HOST_MAX + 24,
    STREAM_EXISTS = 10058, /* with another configuration */
};

#define NS_PER_MS INT64_C(1000000)

/* ---- what has come ---- */

static void letter_push(struct nats_letters *list, struct nats_letter *letter)
{
    letter->next = NULL;
    if (list->first)
        list->last->next = letter;
    else
        list->first = letter;
    list->last = letter;
    list->count++;
    list->bytes += (size_t)natsMsg_GetDataLength(letter->message);
}

static natsMsg *letter_pop(struct nats_letters *list)
{
    struct nats_letter *letter = list->first;
    if (!letter)
        return NULL;
    natsMsg *message = letter->message;
    list->first = letter->next;
    list->count--;
    list->bytes -= (size_t)natsMsg_GetDataLength(message);
    free(letter);
    return message;
}

static void letters_free(struct nats_letters *list)
{
    natsMsg *message;
    while ((message = letter_pop(list)))
        natsMsg_Destroy(message);
}

static natsMsg *take(struct nats_link *link, struct nats_letters *list)
{
    pthread_mutex_lock(&link->lock);
    natsMsg *message = letter_pop(list);
    pthread_mutex_unlock(&link->lock);
    return message;
}

natsMsg *nats_link_answer(struct nats_link *link)
{
    return take(link, &link->answered);
}

natsMsg *nats_link_news(struct nats_link *link)
{
    return take(link, &link->news);
}

void nats_link_give_up(struct nats_link *link)
{
    atomic_store(&link->lost, true);
    bell_ring(&link->bell);
}

/* On a thread of the library. */
static void append(struct nats_link *link, struct nats_letters *list, natsMsg *message)
{
    struct nats_letter *letter = malloc(sizeof *letter);
    bool full = !letter;
    if (letter) {
        letter->message = message;
        pthread_mutex_lock(&link->lock);
        full = list->count >= LINK_NEWS_MAX || list->bytes >= LINK_NEWS_BYTES;
        if (!full)
            letter_push(list, letter);
        pthread_mutex_unlock(&link->lock);
    }
    if (!full) {
        bell_ring(&link->bell);
        return;
    }
    free(letter);
    natsMsg_Destroy(message);
    nats_link_give_up(link);
}

static void on_news(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                    void *context)
{
    struct nats_link *link = context;
    (void)connection;
    (void)subscription;
    append(link, &link->news, message);
}

static void on_answer(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                      void *context)
{
    struct nats_link *link = context;
    (void)connection;
    (void)subscription;
    append(link, &link->answered, message);
}

/* One that we have given up says so later. */
static void on_lost(natsConnection *connection, void *context)
{
    struct nats_link *link = context;
    if (connection == atomic_load(&link->current))
        nats_link_give_up(link);
}

/* A subscription that is too slow has dropped something. */
static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                     void *context)
{
    struct nats_link *link = context;
    (void)subscription;
    if (status == NATS_SLOW_CONSUMER && connection == atomic_load(&link->current))
        nats_link_give_up(link);
}

/* ---- connecting ---- */

int nats_link_init(struct nats_link *link)
{
    *link = (struct nats_link){.bell.fd = -1};
    pthread_mutex_init(&link->lock, NULL);
    return bell_init(&link->bell);
}

void nats_link_done(struct nats_link *link)
{
    nats_link_close(link);
    bell_done(&link->bell);
    pthread_mutex_destroy(&link->lock);
}

/* Files are read here, with each connection; its own way to say what is wrong with one names
 * neither the file nor the setting. */
static int tls_set(natsOptions *options, const struct nats_tls *tls, char *why, size_t why_size)
{
    if (!tls->on)
        return 0;
    if (tls->ca[0] != '\0' && natsOptions_LoadCATrustedCertificates(options, tls->ca) != NATS_OK) {
        snprintf(why, why_size, "nats_ca = %s: no certificate of a CA", tls->ca);
        return -EINVAL;
    }
    if (tls->certificate[0] != '\0' &&
        natsOptions_LoadCertificatesChain(options, tls->certificate, tls->key) != NATS_OK) {
        snprintf(why, why_size,
                 "nats_certificate = %s, nats_key = %s: no certificate, or not its key",
                 tls->certificate, tls->key);
        return -EINVAL;
    }
    if (natsOptions_SetSecure(options, true) == NATS_OK)
        return 0;
    snprintf(why, why_size, "nats_tls = on: the library has no TLS");
    return -EINVAL;
}

int nats_link_tls_check(const struct nats_tls *tls, char *why, size_t why_size)
{
    natsOptions *options = NULL;
    if (natsOptions_Create(&options) != NATS_OK) {
        snprintf(why, why_size, "nats: memory is out");
        return -ENOMEM;
    }
    int err = tls_set(options, tls, why, why_size);
    natsOptions_Destroy(options);
    return err;
}

/* The certificate is to be for the host of the setting. */
static natsStatus host_expect(natsOptions *options, const struct nats_address *address)
{
    char host[NATS_HOST_MAX];
    size_t len = strcspn(address->host + (address->host[0] == '['), "]");
    snprintf(host, sizeof host, "%.*s", (int)len, address->host + (address->host[0] == '['));
    return natsOptions_SetExpectedHostname(options, host);
}

/* One thread of the library hands everything over, so that what came in order stays so. */
static natsStatus options_make(struct nats_link *link, const struct nats_address *address)
{
    char url[URL_MAX];
    int timeout_ms = address->timeout_ms < CONNECT_MS_MAX ? address->timeout_ms : CONNECT_MS_MAX;
    snprintf(url, sizeof url, "nats://%s:%d", address->host, address->port);
    natsStatus status = natsOptions_Create(&link->options);
    natsOptions *options = link->options;
#define THEN(call) status = status == NATS_OK ? (call) : status
    THEN(natsOptions_SetURL(options, url));
    THEN(natsOptions_SetName(options, "ringside"));
    THEN(natsOptions_SetTimeout(options, timeout_ms));
    THEN(natsOptions_SetAllowReconnect(options, false));
    THEN(natsOptions_SetPingInterval(options, address->timeout_ms));
    THEN(natsOptions_SetMaxPingsOut(options, PINGS_OUT));
    THEN(natsOptions_SetWriteDeadline(options, WRITE_MS_MAX));
    THEN(natsOptions_UseGlobalMessageDelivery(options, true));
    THEN(natsOptions_SetMaxPendingMsgs(options, LINK_NEWS_MAX));
    THEN(natsOptions_SetDisconnectedCB(options, on_lost, link));
    THEN(natsOptions_SetClosedCB(options, on_lost, link));
    THEN(natsOptions_SetErrorHandler(options, on_error, link));
    if (address->user[0] != '\0')
        THEN(natsOptions_SetUserInfo(options, address->user, address->password));
    if (address->tls.on)
        THEN(host_expect(options, address));
    return status;
}

/* It is ours if it keeps our subjects, and hands them on. */
static bool stream_fits(jsCtx *js, const struct nats_address *address)
{
    jsStreamInfo *info = NULL;
    char from[NATS_PREFIX_MAX + 8], to[NATS_PREFIX_MAX + 8];
    snprintf(from, sizeof from, "%s.%c.>", address->prefix, NATS_STORED);
    snprintf(to, sizeof to, "%s.%c.>", address->prefix, NATS_HEARD);
    if (js_GetStreamInfo(&info, js, address->prefix, NULL, NULL) != NATS_OK)
        return false;
    const jsStreamConfig *config = info->Config;
    bool fits = config->SubjectsLen == 1 && strcmp(config->Subjects[0], from) == 0 &&
                config->RePublish && config->RePublish->Destination &&
                strcmp(config->RePublish->Destination, to) == 0 && config->AllowRollup &&
                !config->RePublish->HeadersOnly;
    jsStreamInfo_Destroy(info);
    return fits;
}

static natsStatus stream_make(jsCtx *js, const struct nats_address *address, jsErrCode *ret)
{
    char from[NATS_PREFIX_MAX + 8], to[NATS_PREFIX_MAX + 8];
    const char *subjects[] = {from};
    jsRePublish republish;
    jsStreamConfig config;
    snprintf(from, sizeof from, "%s.%c.>", address->prefix, NATS_STORED);
    snprintf(to, sizeof to, "%s.%c.>", address->prefix, NATS_HEARD);
    jsRePublish_Init(&republish);
    jsStreamConfig_Init(&config);
    republish.Source = from;
    republish.Destination = to;
    config.Name = address->prefix;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.MaxMsgsPerSubject = address->messages_max;
    config.MaxAge = address->age_ms * NS_PER_MS;
    config.AllowRollup = true;
    config.RePublish = &republish;
    return js_AddStream(NULL, js, &config, NULL, ret);
}

static int stream_open(struct nats_link *link, const struct nats_address *address, char *why,
                       size_t why_size)
{
    jsOptions options;
    jsCtx *js = NULL;
    jsErrCode code = 0;
    jsOptions_Init(&options);
    options.Wait = CONNECT_MS_MAX;
    natsStatus status = natsConnection_JetStream(&js, link->connection, &options);
    if (status == NATS_OK)
        status = stream_make(js, address, &code);
    if (status != NATS_OK && (int)code == STREAM_EXISTS && stream_fits(js, address))
        status = NATS_OK;
    jsCtx_Destroy(js);
    if (status == NATS_OK)
        return 0;
    snprintf(why, why_size, "nats = %s:%d: no stream \"%s\": %s%s", address->host, address->port,
             address->prefix, natsStatus_GetText(status),
             (int)code == STREAM_EXISTS ? "; there is one that is not ours" : "");
    return -EIO;
}

static uint64_t run_of(natsConnection *connection)
{
    char id[SERVER_ID_MAX] = "";
    (void)natsConnection_GetConnectedServerId(connection, id, sizeof id);
    return XXH3_64bits(id, strlen(id)) | 1;
}

static natsStatus inbox_open(struct nats_link *link)
{
    natsInbox *inbox = NULL;
    char subject[sizeof link->inbox + 4];
    natsStatus status = natsInbox_Create(&inbox);
    if (status != NATS_OK)
        return status;
    snprintf(link->inbox, sizeof link->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    snprintf(subject, sizeof subject, "%s.>", link->inbox);
    return natsConnection_Subscribe(&link->answers, link->connection, subject, on_answer, link);
}

/* In one line: of TLS the library says more than that there was an error. */
static void say(const struct nats_address *address, natsStatus status, char *why, size_t why_size)
{
    const char *text = status == NATS_SSL_ERROR ? nats_GetLastError(NULL) : NULL;
    const char *place = text && text[0] == '(' ? strstr(text, "): ") : NULL;
    text = place ? place + 3 : text; /* of its source */
    text = text && text[0] != '\0' ? text : natsStatus_GetText(status);
    snprintf(why, why_size, "nats = %s:%d: %s%.*s", address->host, address->port,
             address->tls.on ? "TLS: " : "", (int)strcspn(text, "\n"), text);
}

int nats_link_open(struct nats_link *link, const struct nats_address *address, char *why,
                   size_t why_size)
{
    natsStatus status = options_make(link, address);
    int err = status == NATS_OK ? tls_set(link->options, &address->tls, why, why_size) : 0;
    atomic_store(&link->lost, false);
    if (err < 0) {
        nats_link_close(link);
        return err;
    }
    if (status == NATS_OK)
        status = natsConnection_Connect(&link->connection, link->options);
    atomic_store(&link->current, link->connection);
    if (status == NATS_OK)
        status = inbox_open(link);
    if (status != NATS_OK) {
        say(address, status, why, why_size);
        nats_link_close(link);
        return -ENOTCONN;
    }
    link->run = run_of(link->connection);
    link->payload_max = natsConnection_GetMaxPayload(link->connection);
    err = stream_open(link, address, why, why_size);
    if (err < 0)
        nats_link_close(link);
    return err;
}

/* A callback that runs now may still append: answers of another inbox are nobody's, and news are
 * known by their offsets. */
void nats_link_close(struct nats_link *link)
{
    atomic_store(&link->current, NULL);
    natsSubscription_Destroy(link->answers);
    natsConnection_Destroy(link->connection);
    natsOptions_Destroy(link->options);
    link->answers = NULL;
    link->connection = NULL;
    link->options = NULL;
    pthread_mutex_lock(&link->lock);
    letters_free(&link->news);
    letters_free(&link->answered);
    pthread_mutex_unlock(&link->lock);
}

bool nats_link_lost(const struct nats_link *link)
{
    return atomic_load(&link->lost) || natsConnection_IsClosed(link->connection);
}

/* ---- sending ---- */

static int errno_of(natsStatus status)
{
    if (status == NATS_OK)
        return 0;
    if (status == NATS_MAX_PAYLOAD)
        return -EMSGSIZE;
    return status == NATS_NO_MEMORY ? -ENOMEM : -ENOTCONN;
}

int nats_link_subscribe(struct nats_link *link, natsSubscription **ret, const char *subject)
{
    return errno_of(natsConnection_Subscribe(ret, link->connection, subject, on_news, link));
}

int nats_link_listen(struct nats_link *link, natsSubscription **ret, const char *subject)
{
    return errno_of(natsConnection_Subscribe(ret, link->connection, subject, on_answer, link));
}

int nats_link_send(struct nats_link *link, natsMsg *message)
{
    return errno_of(natsConnection_PublishMsg(link->connection, message));
}
