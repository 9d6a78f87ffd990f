/* abuse: what one client, or a crowd of them, can do to a server and to everybody else on it.
 *
 *   for each server, and each attack on it, with a server of its own:
 *     others connect ─► fill channels ─► calm turns ─► attack, and a turn beside it, newcomers too
 *                  ─► attack ends ─► until memory and p99 are back ─► calm turn
 *
 * The others are well-behaved subscribers with a publisher: the load. The attacker has a thread and
 * sockets of its own (abuse/attacker.h), newcomers another. A server that dies is a finding: the
 * next attack has a new one anyway. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abuse/attacker.h"
#include "abuse/newcomer.h"
#include "abuse/reach.h"
#include "experiment/abuse_verdict.h"
#include "experiment/bench.h"
#include "experiment/caller.h"
#include "experiment/field.h"
#include "experiment/peer.h"
#include "experiment/reasons.h"
#include "experiment/secret.h"
#include "measure/clock.h"
#include "measure/http_get.h"

static const int64_t DRAIN_NS = (int64_t)5 * NS_PER_S;
static const int64_t RECOVERY_LOOK_NS = (int64_t)250 * NS_PER_MS;
static const int64_t UNNAMED_LOOK_NS = (int64_t)250 * NS_PER_MS;
static const int64_t UNNAMED_MOST_NS = (int64_t)20 * NS_PER_S;
static const int64_t SAMPLE_NS = (int64_t)250 * NS_PER_MS;

enum {
    TURNS = 4, /* to be warm, before, during, after */
    FILL_BYTE = 1,
    STATUS_OK = 200,
    TAIL_MAX = 256,
};

static const char OURS[] = "ringside";

/* One attack on one server. */
struct trial {
    struct bench *bench;
    const struct attack *attack;
    const char *name;  /* of the server */
    struct peer *peer; /* NULL: ours */
    struct server *server;
    struct field field;
    struct attack_target target;
    struct http_get get;
    struct load_mode mode;
    uint32_t connections; /* of the attacker */
    double cpus;          /* that the server used in the last turn; a dead one none */
    struct harm *harm;
    bool died;
};

static const enum option_id abuse_options[] = {
    OPTION_ATTACK,  OPTION_LIST,        OPTION_ATTACKERS, OPTION_SECONDS,
    OPTION_TURN_MS, OPTION_SUBSCRIBERS, OPTION_SIZE,      OPTION_RATE,
    OPTION_PEER,    OPTION_GIVE_UP,     OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 1000;
    options->message_bytes = 512;
    options->rates[0] = 40;
    options->rate_count = 1;
    options->seconds = 4;
    options->give_up_s = 8;
    options->turn_ms = 3000;
    options->attackers = ATTACKER_VISITS_MAX;
}

static bool can_reach_tls(const struct options *options)
{
    return !options->address || options->tls_address;
}

/* A server has a port for TLS when an attack is to be made on it. */
static void settle(struct options *options)
{
    const struct attack *attack;
    if (options_given(options, OPTION_LIST)) {
        abuse_list(stdout);
        exit(EXIT_SUCCESS);
    }
    for (unsigned i = 0; (attack = attack_at(i)); i++)
        options->tls |=
            attack->tls && attack_named(attack, options->attacks) && can_reach_tls(options);
}

/* ---- the server ---- */

static int start_ours(struct trial *trial, uint32_t connections)
{
    const char *const settings[] = {"websocket_publish=off", trial->attack->setting, NULL};
    struct bench *bench = trial->bench;
    (void)secret_of_run(); /* a setting may name it */
    int err = bench_server_start(bench, connections, settings, &trial->server);
    trial->target.get = "/poll?channel=abuse-0";
    trial->target.post = "/publish?channel=abuse-0";
    trial->target.visit = "/healthz";
    trial->target.subscribe = "/ws?channel=bench-others";
    if (err == 0 && trial->attack->tls)
        trial->target.client = bench_tls_client(bench, TLS_AES_128_GCM, &protocol_websocket);
    return err == 0 && trial->attack->tls && !trial->target.client ? -EINVAL : err;
}

static int start_peer(struct trial *trial, uint32_t connections)
{
    int err = peer_read(trial->name, &trial->peer);
    if (err == 0)
        err = peer_start(trial->bench, trial->peer, connections, &trial->server);
    if (err < 0)
        return err;
    const struct peer *peer = trial->peer;
    trial->name = peer->name;
    trial->target.get = peer->ready ? peer->ready : "/";
    trial->target.post = trial->target.visit = trial->target.get;
    trial->target.subscribe = peer->protocol.path;
    trial->target.fields = peer->protocol.fields;
    return reach_check(peer->name, &peer->protocol.publish_target);
}

/* A full table is what some attacks are about; all others find room for everybody. */
static int start_server(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    const uint32_t connections =
        options->subscribers + (trial->attack->shuts ? 0 : trial->connections);
    int err = trial->name == OURS ? start_ours(trial, connections) : start_peer(trial, connections);
    if (err < 0)
        return err;
    trial->target.plain = trial->server->address;
    trial->target.tls = trial->server->tls_address;
    trial->target.process = &trial->server->process;
    http_get_init(&trial->get, &trial->server->address);
    err = reach_check(trial->name, &trial->target.plain);
    return err == 0 ? reach_check(trial->name, &trial->target.tls) : err;
}

/* ---- the others ---- */

static int open_others(struct trial *trial)
{
    const uint32_t subscribers = trial->bench->options->subscribers;
    struct field *field = &trial->field;
    field->memory_unread = true;
    field->drain_ns = DRAIN_NS;
    struct entrant *entrant =
        field_add(field, "others", KIND_TRANSPORT, &protocol_websocket, trial->server, subscribers);
    entrant->publish = &protocol_post;
    if (trial->peer) {
        entrant->publish = trial->peer->publish_by;
        entrant->protocol = &trial->peer->protocol;
    }
    return field_open(field);
}

/* Publishes 1 MiB to a channel: the worst that JSON makes of a byte is six. */
static int fill_one(struct trial *trial, unsigned number)
{
    char head[256];
    char *body = malloc(ATTACK_FILL_BYTES);
    struct caller caller;
    assert(body);
    memset(body, FILL_BYTE, ATTACK_FILL_BYTES);
    snprintf(head, sizeof head,
             "POST /publish?channel=abuse-%u HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n",
             number, ATTACK_FILL_BYTES);
    int err = caller_connect(&caller, &trial->target.plain, NULL, CALLER_PATIENCE_S);
    if (err == 0)
        err = caller_say(&caller, head, strlen(head));
    if (err == 0)
        err = caller_say(&caller, body, ATTACK_FILL_BYTES);
    if (err == 0)
        err = caller_answered(&caller);
    caller_hang_up(&caller);
    free(body);
    return err == STATUS_OK
               ? 0
               : bench_fail(err < 0 ? err : -EPROTO, "channel %u cannot be filled for %s: %s",
                            number, trial->attack->name,
                            err < 0 ? strerror(-err) : "the server refused it");
}

static int fill(struct trial *trial)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && !trial->peer && i < trial->attack->fill; i++)
        err = fill_one(trial, i);
    return err;
}

/* ---- turns ---- */

static bool has_died(struct trial *trial)
{
    struct process *process = &trial->server->process;
    trial->died |= process->pid != 0 && !process_alive(process);
    return trial->died;
}

/* A turn that the server did not live to see the end of, or in which the publisher was cut off, is
 * one like others: what it brought is what counts. */
static int turn(struct trial *trial, const char *phase, int64_t duration_ns, struct turn *ret)
{
    watch_phase(trial->bench, phase, trial->name, trial->attack->name);
    watch_lasts(trial->bench, duration_ns);
    const int64_t start_ns = clock_now_ns(), cpu_ns = process_cpu_ns(&trial->server->process);
    int err = field_step(&trial->field, 0, &trial->mode, duration_ns, 0, ret);
    const int64_t used_ns = process_cpu_ns(&trial->server->process) - cpu_ns;
    trial->cpus = fmax((double)used_ns / (double)(clock_now_ns() - start_ns), 0);
    return err == -EINTR ? err : 0;
}

/* Nobody attacks: what the others are used to. */
static int calm_turn(struct trial *trial, const char *phase, uint64_t *ret_p50_ns,
                     uint64_t *ret_p99_ns)
{
    struct turn turn_of = {0};
    int err = turn(trial, phase, (int64_t)trial->bench->options->turn_ms * NS_PER_MS, &turn_of);
    *ret_p50_ns = turn_of.p50_ns;
    *ret_p99_ns = turn_of.p99_ns;
    watch_turn(trial->bench, NULL, &turn_of, NULL);
    return err;
}

static uint64_t since(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

static void take_attacker(struct trial *trial, const struct attacker_seen *seen)
{
    struct harm *harm = trial->harm;
    harm->visits = seen->visits;
    harm->refused = seen->refused;
    harm->ended = seen->ended;
    harm->sent = seen->sent;
    harm->received = seen->received;
    harm->elapsed_ns = seen->elapsed_ns;
    harm->attacker_cpu_ns = seen->cpu_ns;
    harm->attacker_waited_ns = seen->waited_ns;
    harm->rss_peak = seen->rss_bytes;
    harm->tcp_bytes = seen->tcp_bytes;
    harm->bound_bytes = attack_bound_bytes(trial->attack, trial->connections, seen->sent);
}

static bool is_named(struct trial *trial, const json_t *before)
{
    const char *ends_by = trial->attack->ends_by;
    json_t *grown = ends_by ? reasons_since(&trial->get, before) : NULL;
    const bool named = !ends_by || json_object_get(grown, ends_by);
    json_decref(grown);
    return named;
}

/* An attacker that had no CPU has not come to the bound that ends it: it goes on until then, or it
 * is in vain. */
static int attack_on(struct trial *trial, const json_t *before)
{
    const int64_t start_ns = clock_now_ns();
    struct turn turn_of;
    int err = 0;
    while (err == 0 && !has_died(trial) && !is_named(trial, before) &&
           clock_now_ns() - start_ns < UNNAMED_MOST_NS)
        err = turn(trial, "attack", UNNAMED_LOOK_NS, &turn_of);
    return err;
}

/* `before`: what the server had counted by name. */
static int turn_attacked(struct trial *trial, const json_t *before)
{
    struct turn turn_of = {0};
    struct attacker_seen attacker_seen;
    struct newcomer_seen newcomer_seen;
    struct attacker *attacker = NULL;
    struct harm *harm = trial->harm;
    const int64_t duration_ns = (int64_t)trial->bench->options->seconds * NS_PER_S;
    harm->rss_before = process_rss_bytes_rough(&trial->server->process);
    int err = attacker_start(&attacker, trial->attack, &trial->target, trial->connections);
    if (err < 0)
        return err;
    struct newcomer *newcomer = newcomer_start(&trial->target, trial->attack->tls);
    err = turn(trial, "attack", duration_ns, &turn_of);
    harm->cpu_during = trial->cpus;
    if (err == 0)
        err = attack_on(trial, before);
    attacker_stop(attacker, &attacker_seen);
    newcomer_stop(newcomer, &newcomer_seen);
    take_attacker(trial, &attacker_seen);
    harm->newcomers = newcomer_seen.tries;
    harm->newcomers_served = newcomer_seen.served;
    harm->newcomer_slowest_ns = newcomer_seen.slowest_ns;
    harm->p50_ns = turn_of.p50_ns;
    harm->p99_ns = turn_of.p99_ns;
    watch_turn(trial->bench, trial->attack->name, &turn_of, NULL);
    return err;
}

/* Memory and p99 are looked at until both are back, or it is in vain. */
static int recover(struct trial *trial)
{
    struct turn turn_of;
    struct harm *harm = trial->harm;
    const int64_t most_ns = (int64_t)trial->bench->options->give_up_s * NS_PER_S;
    const int64_t start_ns = clock_now_ns();
    int err = 0;
    while (err == 0 && clock_now_ns() - start_ns < most_ns) {
        err = turn(trial, "recovery", RECOVERY_LOOK_NS, &turn_of);
        if (has_died(trial))
            return err;
        harm->rss_after = process_rss_bytes_rough(&trial->server->process);
        if (!abuse_is_calm(trial->attack, harm, turn_of.p99_ns))
            continue;
        harm->recovered_ns = clock_now_ns() - start_ns;
        return err;
    }
    return err;
}

/* ---- what is counted meanwhile ---- */

/* Of the others. */
struct others_mark {
    struct load_ledger ledger;
    uint64_t closed;
};

static void mark_others(const struct trial *trial, struct others_mark *ret)
{
    const struct load_counters *counters = load_counters(trial->field.load, 0);
    load_ledger_read(trial->field.load, 0, &ret->ledger);
    ret->closed = counters->publisher_failures;
    for (int i = 0; i < LOAD_FAIL_COUNT; i++)
        ret->closed += counters->closes[i];
}

static void take_others(struct trial *trial, const struct others_mark *before)
{
    struct others_mark after;
    struct harm *harm = trial->harm;
    mark_others(trial, &after);
    harm->closed = after.closed - before->closed;
    harm->lost = since(before->ledger.lost, after.ledger.lost);
    harm->duplicate = since(before->ledger.duplicate, after.ledger.duplicate);
    harm->out_of_order = since(before->ledger.out_of_order, after.ledger.out_of_order);
    harm->corrupt = since(before->ledger.corrupt, after.ledger.corrupt);
}

/* The last line that a server has written that is no more. */
static void take_last_words(struct trial *trial)
{
    char tail[TAIL_MAX];
    if (!trial->died)
        return;
    process_output_tail(&trial->server->process, tail, sizeof tail);
    for (size_t len = strlen(tail); len > 0 && tail[len - 1] == '\n'; len--)
        tail[len - 1] = '\0';
    const char *line = strrchr(tail, '\n');
    trial->harm->said = strdup(line ? line + 1 : tail);
}

/* ---- one attack ---- */

static int play(struct trial *trial)
{
    struct others_mark mark;
    struct harm *harm = trial->harm;
    int err = open_others(trial);
    if (err == 0)
        err = fill(trial);
    if (err == 0) /* what a cold server does is overwritten by the next turn */
        err = calm_turn(trial, "warm-up", &harm->p50_before_ns, &harm->p99_before_ns);
    if (err == 0)
        err = calm_turn(trial, "before", &harm->p50_before_ns, &harm->p99_before_ns);
    if (err < 0)
        return err;
    harm->cpu_calm = trial->cpus;
    mark_others(trial, &mark);
    json_t *reasons = reasons_read(&trial->get);
    err = turn_attacked(trial, reasons);
    if (err == 0 && !has_died(trial))
        err = recover(trial);
    if (err == 0 && !has_died(trial))
        err = calm_turn(trial, "after", &harm->p50_after_ns, &harm->p99_after_ns);
    json_decref(harm->reasons);
    harm->reasons = reasons_since(&trial->get, reasons);
    take_others(trial, &mark);
    take_last_words(trial);
    json_decref(reasons);
    return err;
}

static struct contestant *add_contestant(struct trial *trial)
{
    struct contestant *contestant =
        result_add(&trial->bench->result, trial->name, trial->attack->name,
                   trial->peer ? KIND_PEER : KIND_TRANSPORT);
    contestant->connections = trial->bench->options->subscribers;
    contestant->payload_bytes = trial->bench->options->message_bytes;
    contestant->server_cpus = trial->server->cpus;
    if (trial->peer)
        snprintf(contestant->version, sizeof contestant->version, "%s", trial->peer->version);
    abuse_judge(trial->attack, trial->harm, trial->died);
    contestant->own_faults =
        trial->harm->duplicate + trial->harm->out_of_order + trial->harm->corrupt;
    return contestant;
}

/* A server that has died, or does not leave in order, says so by itself as it is stopped. That is a
 * finding too, and the run goes on. */
static void stop(struct trial *trial)
{
    field_close(&trial->field);
    http_get_done(&trial->get);
    trial->harm->broken[HARM_RECOVERY] |= bench_server_end(trial->bench, trial->server, 0) < 0;
    peer_free(trial->peer);
}

static int run_attack(struct bench *bench, const char *server, const struct attack *attack)
{
    const struct options *options = bench->options;
    struct trial *trial = calloc(1, sizeof *trial);
    assert(trial);
    trial->bench = bench;
    trial->attack = attack;
    trial->name = server;
    trial->mode.rate_per_s = options->rates[0];
    trial->get.fd = -1;
    trial->connections =
        options->attackers < attack->connections ? options->attackers : attack->connections;
    trial->harm = harm_create();
    trial->harm->about = attack->about;
    trial->harm->connections = trial->connections;
    trial->harm->ends_by = attack->ends_by;
    field_init(&trial->field, bench);
    watch_phase(bench, "start", server, attack->name);
    int err = start_server(trial);
    if (err == 0)
        err = play(trial);
    struct contestant *contestant = err == 0 ? add_contestant(trial) : NULL;
    stop(trial);
    if (contestant)
        contestant_figure(contestant, "abuse", harm_json(trial->harm));
    harm_free(trial->harm);
    free(trial);
    return err;
}

/* ---- the run ---- */

static bool is_due(const struct options *options, const char *server, const struct attack *attack)
{
    bool possible =
        server == OURS ? !attack->tls || can_reach_tls(options) : !attack->ours && !attack->tls;
    return possible && attack_named(attack, options->attacks);
}

static unsigned count_due(const struct options *options, const char *server)
{
    const struct attack *attack;
    unsigned count = 0;
    for (unsigned i = 0; (attack = attack_at(i)); i++)
        count += is_due(options, server, attack);
    return count;
}

/* Says what is left out, and why. */
static void note_left_out(struct bench *bench)
{
    const struct options *options = bench->options;
    const struct attack *attack;
    unsigned count = 0;
    for (unsigned i = 0; (attack = attack_at(i)); i++)
        count += attack->tls && attack_named(attack, options->attacks);
    if (count > 0 && !can_reach_tls(options))
        result_note(
            &bench->result,
            "Attacks on TLS that were left out, as --address has no --tls-address beside it: %u.",
            count);
}

static int run_server(struct bench *bench, const char *server)
{
    const struct attack *attack;
    int err = 0;
    for (unsigned i = 0; err == 0 && (attack = attack_at(i)); i++)
        if (is_due(bench->options, server, attack))
            err = run_attack(bench, server, attack);
    return err;
}

static int check(const struct options *options)
{
    const char *name;
    unsigned len = attack_unknown(options->attacks, &name);
    if (len > 0)
        return bench_fail(-EINVAL, "there is no attack '%.*s': --list says which there are",
                          (int)len, name);
    if (options->rate_count != 1)
        return bench_fail(-EINVAL, "abuse takes one --rate");
    int err = options->address ? reach_check("--address", &options->target) : 0;
    if (err == 0 && options->tls_address)
        err = reach_check("--tls-address", &options->tls_target);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    int err = check(options);
    if (err < 0)
        return err;
    bench->watch.sample_every_ns = SAMPLE_NS;
    watch_turns(bench, TURNS * count_due(options, OURS));
    for (unsigned i = 0; i < options->peer_count; i++)
        watch_turns(bench, TURNS * count_due(options, options->peers[i]));
    note_left_out(bench);
    err = run_server(bench, OURS);
    for (unsigned i = 0; err == 0 && i < options->peer_count; i++)
        err = run_server(bench, options->peers[i]);
    return err;
}

const struct experiment experiment_abuse = {
    .name = "abuse",
    .use = {abuse_options, "Attacks beside well-behaved subscribers: what they cost, and whom.",
            "Each attack has a server of its own. The subscribers' p99 beside it is compared with "
            "that of the calmer turn before or after; memory with what the attacker has sent. Then "
            "the attack ends, and the time is taken until all is as before. A server that dies is "
            "a finding, and the run goes on. --list says which attacks there are. Nothing but "
            "loopback, or a network namespace without a gateway, is attacked.\n\n"
            "  ringside-bench abuse\n"
            "  ringside-bench abuse --peer nchan --peer ws\n"
            "  ringside-bench abuse --attack polls-unread,half-heads --seconds 2"},
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
