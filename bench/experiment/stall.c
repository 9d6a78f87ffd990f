#include "experiment/stall.h"

json_t *stall_json(const struct stall *stall)
{
    json_t *object = json_pack("{s:s}", "policy", stall->policy);
#define SET(name) json_object_set_new(object, #name, json_integer((json_int_t)stall->name));
    STALL_COUNTS(SET)
#undef SET
    return object;
}
