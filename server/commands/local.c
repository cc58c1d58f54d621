#include "server/commands/local.h"

#include <sys/socket.h>

#include "server/commands/command.h"
#include "server/commands/session.h"
#include "server/net/address.h"
#include "server/net/client.h"

bool call_is_local(const struct call *call)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (!call->session) return false;
    if (client_is_unix(call->session->client)) return true;
    if (getpeername(client_fd(call->session->client), (struct sockaddr *)&address, &size) < 0)
        return false;
    return address_is_loopback((const struct sockaddr *)&address);
}
