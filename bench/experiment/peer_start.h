/* peer_start: what a peer's texts are filled in with, and where its commands are.
 *
 *     @here@ the manifest's folder   @products@ build/peers/NAME   @run@ its folder run/
 *     @config@ the filled-in [server] config, in @run@             @address@ @host@ @port@
 *     @connections@ that it must hold   @cpus@ how many it has     @channel@
 *
 * Threads  one.
 * Memory   the caller's.
 * Errors   0 or negative errno; peer_fill_place after a sentence. */
#pragma once

#include "experiment/peer.h"

/* Fills in @here@ and @products@, all that is known before a start. */
int peer_fill_place(const struct bench *bench, const struct peer *peer, const char *text,
                    char ret[PEER_TEXT_MAX]);

/* Where a command is: among the peer's products, on the PATH, or where Debian keeps its servers.
 * Returns 0 or -ENOENT. */
int peer_find_command(const char *products, const char *name, char ret[PEER_TEXT_MAX]);
