#include "abuse/attack.h"

const struct attack attacks_tls[] = {{0}};
