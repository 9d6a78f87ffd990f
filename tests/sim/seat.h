/* seat: a visitor with a session: the Centrifuge protocol on the WebSocket of a client.
 *
 *   seat_greet: connect, perhaps subscribe ─► seat_chat: commands … ─► told ─► gone
 *                                                                        └─► comes back with
 *                                                                            its positions
 *
 * Idea     A channel's cursor outlives the visit: most subscribe again with it, and must get all
 *          behind it, in order, or hear that they cannot. Every reply is to a command under way;
 *          what is pushed is of a channel that is subscribed to.
 * Memory   A seat is its client's, for the whole simulation. */
#pragma once

#include "sim.h"
#include "wire/span.h"

enum {
    SEAT_COMMANDS_MAX = 24, /* under way */
    SEAT_TOKEN_MAX = 512,
};

enum seat_stage {
    SEAT_OUT,
    SEAT_ASKED,
    SEAT_IN,
    SEAT_LEAVING, /* has asked to unsubscribe, and perhaps to subscribe again behind that */
};

/* What is wrong with a token. */
enum seat_lie {
    LIE_NONE,
    LIE_FORGED,
    LIE_EXPIRED,
    LIE_FOREIGN, /* another channel's, or another user's */
};

enum seat_method {
    SEAT_CONNECT,
    SEAT_SUBSCRIBE,
    SEAT_UNSUBSCRIBE,
    SEAT_PUBLISH,
    SEAT_HISTORY,
    SEAT_PRESENCE,
    SEAT_PRESENCE_STATS,
    SEAT_REFRESH,
    SEAT_SUB_REFRESH,
    SEAT_PING,
};

struct seat_command {
    uint32_t id;
    enum seat_method method;
    enum seat_lie lie;
    unsigned channel;
    uint64_t message; /* of a publish */
    bool recover, reverse;
    int64_t expires_s;         /* its token does; 0: never, or there is none */
    struct ledger_cursor from; /* of a subscribe with `recover`, or a history */
};

struct seat_channel {
    enum seat_stage stage;
    struct ledger_cursor cursor;
};

struct seat {
    uint32_t last_id;
    bool connected;
    bool signed_on; /* with a token; its user is u<index of the client> */
    bool mute;      /* never sends connect */
    struct seat_channel channels[SIM_CHANNELS_MAX];
    struct seat_command commands[SEAT_COMMANDS_MAX];
    unsigned command_count;
};

struct client;

/* ---- seat_ask.c ---- */

/* The first frame of a visit. */
void seat_greet(struct client *client);
/* Asks for something, or not. */
void seat_chat(struct client *client);
/* The visit is over: positions stay. */
void seat_gone(struct client *client);

/* The key of the tokens, as the settings have it. */
void seat_key_publish(void);

/* ---- seat_told.c ---- */

/* A text frame: replies and pushes, a line each. */
void seat_told(struct client *client, struct span frame);
void seat_closed(const struct client *client, unsigned code);
/* Whether it has all up to the last messages; if not, what it lacks. */
bool seat_has_everything(const struct sim *sim, const struct client *client, char why[80]);

/* ---- seat_end.c ---- */

/* Who is present is who is subscribed. */
void seats_are_present(const struct sim *sim);
