/* results: what clients and servers are answered alike.
 *
 * Threads  any. */
#pragma once

#include "hub/hub.h"
#include "wire/centrifuge.h"

/* What a publish that failed is answered with. */
enum centrifuge_error published_error(int err);

/* The page that a request for history asks for. */
struct hub_since history_since(const struct centrifuge_command *request);

/* {"publications":[…],"epoch":…,"offset":…} */
size_t history_result_room(const struct hub_reply *reply);
void history_result_write(struct out *out, const struct hub_reply *reply);

/* "publications":[…]; in `coding`, PLAIN or STRING */
size_t publications_room(const struct hub_reply *reply, enum centrifuge_coding coding);
void publications_write(struct out *out, const struct hub_reply *reply,
                        enum centrifuge_coding coding);

/* ,"epoch":…,"offset":…: the latter when it is not 0. */
void position_members_write(struct out *out, const struct hub_reply *reply);

/* An epoch as a client has it. 0: none was given. What is none of ours becomes one that is gone:
 * there are 2^64, by chance. */
uint64_t epoch_read(struct span text);
