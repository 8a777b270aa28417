#include <smux/transport.h>

void smux_transport_close(struct smux_transport *transport)
{
    transport->ops->close(transport->ctx);
    transport->ops = NULL;
    transport->ctx = NULL;
}
