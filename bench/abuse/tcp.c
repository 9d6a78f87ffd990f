#include "abuse/attack.h"

const struct attack attacks_tcp[] = {{0}};
