/* info_version.h - what we say we are: the Redis whose behaviour clients may expect, and ourselves.
 */
#ifndef SERVER_OBSERVE_INFO_VERSION_H
#define SERVER_OBSERVE_INFO_VERSION_H

#define REDIS_VERSION  "7.2.4"
#define SLUICE_VERSION "0.1.0"
#endif
