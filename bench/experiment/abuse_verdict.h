/* abuse_verdict: the bounds that a server must keep under an attack, and what is said of it.
 *
 *   memory     at most 4 bytes for each byte that the attacker sent, and the row's bound
 *   p99        of the others at most 1.5 times that of the calmer turn before or after it, or 5 ms
 *   closed     none of the others was, and none lost a message
 *   newcomers  half of them or more, or all but one, were served, unless the attack takes the
 *              table that they need
 *   recovery   memory and p99 are back 5 s after its end
 *   unnamed    where the row says which bound of the server ends it, that one has counted it
 *
 * Threads  one. */
#pragma once

#include <stdio.h>

#include "abuse/attack.h"
#include "experiment/bench.h"
#include "experiment/harm.h"

/* Memory and the others' p99 are as before. */
bool abuse_is_calm(const struct attack *attack, const struct harm *harm, uint64_t p99_ns);

/* Says which bounds were broken. */
void abuse_judge(const struct attack *attack, struct harm *harm, bool died);

/* All attacks, each with its sentence. */
void abuse_list(FILE *file);
