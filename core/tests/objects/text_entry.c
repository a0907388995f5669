#include "common.h"
int main() { return XDP_DROP; }
