#include "abuse/attack.h"

const struct attack attacks_websocket[] = {{0}};
