/* What the nodes of a Redis Cluster say: as fuzz_redis.c, and who has which slot. */
#define FUZZ_CLUSTER
#include "fuzz_redis.c"
